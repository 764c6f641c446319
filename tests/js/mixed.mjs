// People who type at once in one room, half of them with whole texts, half with y-websocket.
//   one JSON plan on stdin: {seconds, seed, members: [{room, url, door: "text" | "yjs"}]}
//   out, at rest: {what: "rest", members: [{room, door, text, inserted, deleted, changes, ...}]}
import { readFileSync } from "node:fs";
import { io } from "socket.io-client";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const QUIET = 1500; // ms in which nothing was heard: at rest
const PATIENCE = 20000; // ms after which a member that is not at rest is reported as it is
const plan = JSON.parse(readFileSync(0, "utf8"));
process.setMaxListeners(0);

// Every character is typed once in the whole storm, so that it can be told what became of it.
let typed = 0;
function character() {
  const n = typed++;
  return String.fromCodePoint(n % 5 === 0 ? 0x20000 + n : 0x4e00 + (n % 0x5000));
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

class Typist {
  constructor({ room, url, door }, seed) {
    Object.assign(this, { room, url, random: randomness(seed), heard: Date.now(), cursor: 0 });
    this.report = { room, door, inserted: "", deleted: "", changes: 0, faults: [] };
  }
  below(limit) {
    return Math.floor(this.random() * limit);
  }
  edit() {
    const letters = [...this.text];
    const splice = (at, deleted, inserted) => {
      this.splice(letters, at, letters.slice(at, at + deleted), inserted);
      this.report.deleted += letters.splice(at, deleted, ...inserted).join("");
      this.report.inserted += inserted.join("");
      this.cursor = at + inserted.length;
    };
    const at = Math.min(this.cursor, letters.length);
    const anywhere = this.below(letters.length + 1);
    const what = this.random();
    if (what < 0.65) splice(at, 0, characters(1));
    else if (what < 0.77) splice(anywhere, 0, characters(1 + this.below(3)));
    else if (what < 0.87) splice(Math.max(0, at - 1), at ? 1 : 0, []);
    else if (what < 0.95) splice(anywhere, 1 + this.below(6), []);
    else splice(anywhere, this.below(4), characters(2));
    this.report.changes += 1;
    this.send(letters.join(""));
  }
  async type(until) {
    while (Date.now() < until) {
      this.edit();
      await new Promise((resolve) => setTimeout(resolve, 30 + this.below(200)));
    }
  }
  get resting() {
    return Date.now() - this.heard > QUIET;
  }
}

class TextTypist extends Typist {
  text = "";
  waiting = 0;
  ready() {
    this.socket = io(this.url, { forceNew: true, transports: ["websocket"] });
    this.socket.on("receive", ({ code }) => {
      this.text = code;
      this.heard = Date.now();
    });
    this.socket.on("error", (error) => this.report.faults.push(error));
    this.socket.on("disconnect", (reason) => this.report.faults.push(reason));
    return new Promise((resolve) => {
      this.socket.on("connect", () => this.socket.emit("join", { room: this.room }, resolve));
    });
  }
  splice() {}
  send(text) {
    this.text = text;
    this.waiting += 1;
    this.socket.emit("change", { room: this.room, code: text }, (reply) => {
      this.waiting -= 1;
      if (!reply.ok) this.report.faults.push(reply.error);
    });
  }
  get resting() {
    return this.waiting === 0 && super.resting;
  }
}

class YjsTypist extends Typist {
  doc = new Y.Doc();
  code = this.doc.getText("code");
  get text() {
    return this.code.toString();
  }
  ready() {
    const url = this.url.replace("http", "ws") + "/yjs";
    const provider = new WebsocketProvider(url, this.room, this.doc, { WebSocketPolyfill: WebSocket, disableBc: true });
    provider.on("connection-close", (event) => this.report.faults.push([event?.code, event?.reason]));
    this.doc.on("update", () => (this.heard = Date.now()));
    return new Promise((resolve) => provider.once("sync", resolve));
  }
  splice(letters, at, deleted, inserted) {
    const start = letters.slice(0, at).join("").length;
    this.doc.transact(() => {
      this.code.delete(start, deleted.join("").length);
      this.code.insert(start, inserted.join(""));
    });
  }
  send() {}
}

const typists = plan.members.map((member, i) =>
  new (member.door === "yjs" ? YjsTypist : TextTypist)(member, plan.seed * 1000 + i));
await Promise.all(typists.map((typist) => typist.ready()));
const end = Date.now() + plan.seconds * 1000;
await Promise.all(typists.map((typist) => typist.type(end)));
while (!typists.every((typist) => typist.resting) && Date.now() < end + PATIENCE) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const members = typists.map(({ text, report }) => ({ ...report, text }));
process.stdout.write(JSON.stringify({ what: "rest", members }) + "\n", () => process.exit(0));
