// The people whom an attack must not disturb: a pair of official clients that type in a room of their own, and
// people who come. One JSON command with an "id" a line in, one JSON answer with the same id a line out:
//   {"do":"begin","url":...,"room":...,"rate":20}   the pair types, in turns, at `rate` changes a second
//   {"do":"report"}   {waits: [ms from each change to the partner's receive], trouble: [...]} since the last report
//   {"do":"come","url":...,"room":...,"within":5000}   a new client joins and types: {took: ms, refused: "" | why}
import { createInterface } from "node:readline";
import { io } from "socket.io-client";
import { characters } from "./letters.mjs";

const MAX_TEXT = 1000; // characters: then the pair begins its text anew, so that a change costs the same all the time

const print = (event) => process.stdout.write(JSON.stringify(event) + "\n");
const connect = (url, options = {}) => io(url, { forceNew: true, ...options });

class Typist {
  text = "";
  sent = new Map(); // when each letter was sent that the partner does not show yet

  /**
   * @param {Pair} pair
   * @param {string} url
   * @param {string} room
   */
  constructor(pair, url, room) {
    this.pair = pair;
    this.room = room;
    this.socket = connect(url, { transports: ["websocket"] });
    this.socket.on("receive", ({ code }) => {
      this.text = code;
      this.partner.seen(code);
    });
    this.socket.on("error", (error) => pair.trouble.push(`error ${error.code}`));
    this.socket.on("disconnect", (reason) => pair.trouble.push(`disconnect ${reason}`));
    this.socket.on("connect_error", (error) => pair.trouble.push(`connect_error ${error.message}`));
  }

  get partner() {
    return this.pair.typists[1 - this.pair.typists.indexOf(this)];
  }

  async join() {
    await this.socket.emitWithAck("join", { room: this.room });
  }

  type() {
    const [letter] = characters(1);
    this.text = (this.text.length < MAX_TEXT ? this.text : "") + letter;
    this.sent.set(letter, performance.now());
    this.socket.emit("change", { room: this.room, code: this.text });
  }

  seen(code) {
    for (const [letter, at] of this.sent) {
      if (!code.includes(letter)) continue;
      this.pair.waits.push(performance.now() - at);
      this.sent.delete(letter);
    }
  }
}

class Pair {
  waits = [];
  trouble = [];
  turn = 0;

  constructor(url, room) {
    this.typists = [0, 1].map(() => new Typist(this, url, room));
  }

  async begin(rate) {
    await Promise.all(this.typists.map((typist) => typist.join()));
    const began = performance.now();
    setInterval(() => {
      // By the clock: a timer that fires late must not slow the pair down.
      while (this.turn < ((performance.now() - began) / 1000) * rate) this.typists[this.turn++ % 2].type();
    }, 5);
  }

  report() {
    const now = performance.now();
    // A change that has not arrived has waited at least until now.
    const late = this.typists.flatMap(({ sent }) => [...sent.values()].map((at) => now - at));
    const report = { waits: [...this.waits, ...late], trouble: this.trouble };
    this.waits = [];
    this.trouble = [];
    return report;
  }
}

/** @type {Pair} */
let pair;

function come({ url, room, within }) {
  const began = performance.now();
  const socket = connect(url, { reconnection: false });
  return new Promise((resolve) => {
    let stage = "connecting";
    const end = (refused) => {
      clearTimeout(timer);
      socket.off();
      socket.disconnect();
      resolve({ took: performance.now() - began, refused });
    };
    const timer = setTimeout(() => end(`no answer after ${within} ms of ${stage}`), within);
    const ask = async (event, payload) => {
      stage = event;
      // A socket that is disconnected rejects what is not acknowledged; `end` has said why.
      const reply = await socket.emitWithAck(event, payload).catch(() => null);
      if (reply && !reply.ok) end(`${event} ${reply.error.code}`);
      return reply?.ok;
    };
    socket.on("connect_error", (error) => end(`connect_error ${error.message}`));
    socket.on("disconnect", (reason) => end(`disconnect ${reason}`));
    socket.on("connect", async () => {
      if ((await ask("join", { room })) && (await ask("change", { room, code: "hello" }))) end("");
    });
  });
}

const commands = {
  async begin({ url, room, rate }) {
    pair = new Pair(url, room);
    await pair.begin(rate);
    return { began: true };
  },
  report: async () => pair.report(),
  come,
};

createInterface({ input: process.stdin }).on("line", async (line) => {
  const command = JSON.parse(line);
  print({ id: command.id, ...(await commands[command.do](command)) });
});
