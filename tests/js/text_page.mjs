// An unchanged page: it has a text, edits it in place, sends the whole text, and shows each text that it receives.
import { NodeWebSocket, NodeXHR } from "engine.io-client";
import { io } from "socket.io-client";
import { Person } from "./person.mjs";

const MOUNTS = 1 / 60; // the chance that a page mounts again before an edit: about every ten seconds

// A WebSocket that a polling client opens after so many milliseconds, not at once.
function late(after) {
  return class extends NodeWebSocket {
    doOpen() {
      setTimeout(() => super.doOpen(), after);
      return this;
    }
  };
}

export class TextPage extends Person {
  screen = "";
  toShow = null;
  unanswered = new Set(); // changes: {code, kept}; a change is kept while there is no connection to send it

  // `habit` is what the page does when it has reconnected, or between reconnects:
  //   joins   it joins on every "connect"
  //   once    it joins once, and never again
  //   mounts  as "joins", and sometimes it leaves, shows nothing, and joins
  //   waits   as "joins", and the person does not type while there is no connection
  /**
   * @param {any} plan this member's part of the plan
   * @param {number} seed
   */
  constructor({ url, transports, upgradeAfter, echoes, late: lateness, habit, retries, ...member }, seed) {
    super(member, seed);
    this.room = member.room;
    this.habit = habit;
    this.echoes = echoes;
    this.lateness = lateness;
    const ways = { polling: NodeXHR, websocket: upgradeAfter ? late(upgradeAfter) : NodeWebSocket };
    this.retries = retries;
    this.socket = io(url, {
      forceNew: true,
      transports: transports.map((name) => ways[name]),
      ...(retries && { retries, ackTimeout: 5000 }),
    });
    this.socket.on("receive", ({ code }) => this.receive(code));
    this.socket.on("error", (error) => this.report.refused.push(error));
    this.socket.on("connect", () => this.connected());
    this.socket.on("disconnect", (reason) => this.disconnected(reason));
  }

  get text() {
    return this.screen;
  }

  ready() {
    return new Promise((resolve) => {
      const join = () => this.socket.emit("join", { room: this.room }, resolve);
      if (this.habit === "once") this.socket.once("connect", join);
      else this.socket.on("connect", join);
    });
  }

  connected() {
    this.trace("connect", [this.socket.id, this.socket.recovered]);
    this.socket.io.engine.on("upgrade", () => (this.report.upgraded = this.report.changes));
    if (this.sid) this.report.returns += 1;
    if (this.sid && this.socket.recovered) this.report.recovered += 1;
    this.sid = this.socket.id;
    for (const change of this.unanswered) change.kept = false;
  }

  disconnected(reason) {
    this.trace("disconnect", reason);
    this.report.disconnects.push(reason);
    // Changes that were sent on that connection are never answered on another.
    const shown = new Set(this.text);
    for (const change of [...this.unanswered].filter(({ kept }) => !kept)) {
      this.unanswered.delete(change);
      for (const letter of change.code) if (!shown.has(letter)) this.overwritten.add(letter);
    }
    this.waiting = this.unanswered.size;
  }

  receive(code) {
    this.trace("receive", code);
    this.report.receives += 1;
    this.lastReceived = Date.now();
    if (!this.lateness) return this.show(code);
    // A page that renders after its handler has returned. A keystroke in between edits the old text, and
    // replaces the received one: React applies the later of two states last.
    this.toShow = code;
    setTimeout(() => {
      if (this.toShow !== null) this.show(this.toShow);
      this.toShow = null;
    }, this.random() * this.lateness);
  }

  show(code) {
    this.screen = code;
    if (this.echoes) this.send(); // an editor whose change event also fires when the page sets the text
  }

  edit() {
    if (this.habit === "mounts" && this.socket.connected && this.random() < MOUNTS) this.mount();
    super.edit();
  }

  mount() {
    this.trace("mount");
    this.socket.emit("leave", { room: this.room });
    this.screen = "";
    this.toShow = null;
    this.socket.emit("join", { room: this.room });
  }

  enter(text) {
    this.screen = text;
    this.toShow = null;
    this.send();
  }

  send() {
    const change = { code: this.text, kept: !this.socket.connected };
    this.trace(change.kept ? "keep" : "send", change.code);
    this.report.changes += 1;
    this.unanswered.add(change);
    const answered = (reply) => {
      this.unanswered.delete(change);
      this.trace("answer", [change.code, reply]);
      this.waiting = this.unanswered.size;
      if (!reply.ok) this.report.refused.push(reply.error);
      else for (const letter of change.code) this.acked.add(letter);
    };
    this.socket.emit("change", { room: this.room, code: change.code },
      this.retries ? (error, reply) => answered(reply ?? { error: String(error) }) : answered);
    this.waiting = this.unanswered.size;
  }

  get online() {
    return this.socket.connected;
  }

  get mayType() {
    return this.habit !== "waits" || this.socket.connected;
  }

  get resting() {
    return this.online && this.waiting === 0 && super.resting;
  }
}
