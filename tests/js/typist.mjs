// People who type at once, each on a page that was never changed: it holds a text, edits it where it
// is, sends it whole, and shows whatever it receives.
//   one JSON plan on stdin: {seconds, seed, members: [{room, url, transports, upgradeAfter, echoes}]}
//   out: {what: "ready"}, and at rest {what: "rest", members: [...]}
import { readFileSync } from "node:fs";
import { NodeWebSocket, NodeXHR } from "engine.io-client";
import { io } from "socket.io-client";

const QUIET = 1500; // ms in which nothing was received, ten round trips of the slowest link: at rest
const PATIENCE = 30000; // ms after which a member that is not at rest is reported as it is

const plan = JSON.parse(readFileSync(0, "utf8"));
const say = (event) => process.stdout.write(JSON.stringify(event) + "\n");

// Every character is typed once in the whole storm, so that it can be told what became of it.
// A fifth of them are two units long in JavaScript, and some of those are emoji.
let typed = 0;
function character() {
  const n = typed++;
  if (n % 20 === 0 && n / 20 < 0x300) return String.fromCodePoint(0x1f300 + n / 20);
  if (n % 5 === 0) return String.fromCodePoint(0x20000 + n);
  if (n < 0x5000) return String.fromCodePoint(0x4e00 + n);
  return String.fromCodePoint(0x30000 + n);
}
const characters = (count) => Array.from({ length: count }, character);

function randomness(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// A client that polls asks for its WebSocket after so many milliseconds, and not at once.
function late(after) {
  return class extends NodeWebSocket {
    doOpen() {
      setTimeout(() => super.doOpen(), after);
    }
  };
}

class Typist {
  constructor({ room, url, transports, upgradeAfter, echoes }, seed) {
    this.room = room;
    this.random = randomness(seed);
    this.text = "";
    this.cursor = 0;
    this.typing = false;
    this.waiting = 0;
    this.heard = Date.now();
    this.report = { inserted: "", deleted: "", changes: 0, receives: 0, refused: [], disconnects: [], upgraded: 0 };
    const socket = upgradeAfter ? late(upgradeAfter) : NodeWebSocket;
    const ways = { polling: NodeXHR, websocket: socket };
    this.socket = io(url, { forceNew: true, transports: transports.map((name) => ways[name]) });
    this.socket.on("receive", ({ code }) => {
      this.text = code;
      this.report.receives += 1;
      this.heard = Date.now();
      if (echoes) this.send(); // an editor whose change event fires for what the page puts there too
    });
    this.socket.on("error", (error) => this.report.refused.push(error));
    this.socket.on("disconnect", (reason) => this.report.disconnects.push(reason));
  }

  joined() {
    return new Promise((resolve) => {
      this.socket.on("connect", () => {
        this.socket.io.engine.on("upgrade", () => (this.report.upgraded = this.report.changes));
        this.socket.emit("join", { room: this.room }, resolve);
      });
    });
  }

  below(limit) {
    return Math.floor(this.random() * limit);
  }

  splice(letters, at, deleted, inserted) {
    this.report.deleted += letters.splice(at, deleted, ...inserted).join("");
    this.report.inserted += inserted.join("");
    this.cursor = at + inserted.length;
  }

  edit() {
    const letters = [...this.text];
    const at = Math.min(this.cursor, letters.length);
    const anywhere = this.below(letters.length + 1);
    const what = this.random();
    if (what < 0.6) this.splice(letters, at, 0, characters(1));
    else if (what < 0.72) this.splice(letters, anywhere, 0, characters(1 + this.below(3)));
    else if (what < 0.84) this.splice(letters, Math.max(0, at - 1), at ? 1 : 0, []);
    else if (what < 0.92) this.splice(letters, anywhere, 1 + this.below(6), []);
    else if (what < 0.95) this.splice(letters, anywhere, this.below(4), characters(2));
    else if (what < 0.97) this.splice(letters, at, 0, characters(20 + this.below(20)));
    else for (const place of [letters.length, anywhere, 0]) this.splice(letters, place, 0, characters(1));
    this.text = letters.join("");
    this.send();
  }

  send() {
    this.waiting += 1;
    this.report.changes += 1;
    this.socket.emit("change", { room: this.room, code: this.text }, (reply) => {
      this.waiting -= 1;
      if (!reply.ok) this.report.refused.push(reply.error);
    });
  }

  async type(until) {
    while (Date.now() < until) {
      this.edit();
      const pause = this.random() < 0.4 ? 20 + this.below(40) : 60 + this.below(240);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  get resting() {
    return this.waiting === 0 && Date.now() - this.heard > QUIET;
  }
}

const typists = plan.members.map((member, i) => new Typist(member, plan.seed * 1000 + i));
await Promise.all(typists.map((typist) => typist.joined()));
say({ what: "ready" });
const end = Date.now() + plan.seconds * 1000;
await Promise.all(typists.map((typist) => typist.type(end)));
while (!typists.every((typist) => typist.resting) && Date.now() < end + PATIENCE) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const members = typists.map(({ room, text, waiting, report }) => ({ room, text, waiting, ...report }));
process.stdout.write(JSON.stringify({ what: "rest", members }) + "\n", () => process.exit(0));
