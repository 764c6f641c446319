// A person at an editor, at either endpoint: types, deletes and pastes at random places.
import { characters, randomness } from "./letters.mjs";

const QUIET = 2500; // ms without a receive after which a page is at rest: a node may hold one back for a second
const THOUGHTS = 1 / 40; // the chance of a pause after an edit, for people who think

export class Person {
  /**
   * @param {any} member this person's part of the plan
   * @param {number} seed
   */
  constructor({ room, endpoint, thinks, traced }, seed) {
    this.random = randomness(seed);
    this.cursor = 0;
    this.lastReceived = Date.now();
    this.typing = true;
    this.paused = false;
    this.report = {
      room, endpoint, inserted: "", deleted: "", changes: 0, receives: 0, returns: 0, recovered: 0,
      refused: [], disconnects: [], upgraded: 0, trace: [],
    };
    this.acked = new Set(); // all letters of the texts whose change was acknowledged
    this.overwritten = new Set(); // those that were sent, unanswered and off the screen when a link broke
    this.waiting = 0; // changes that have no answer yet
    this.thinks = thinks;
    this.traced = traced;
  }

  /** @returns {string} the text on the screen */
  get text() {
    throw new Error("not implemented");
  }

  /** @returns {boolean} whether there is a connection that can be used */
  get online() {
    throw new Error("not implemented");
  }

  /**
   * Show `text` on the screen, and send it.
   * @param {string} _text
   * @param {{before: string[], deleted: string[], inserted: string[]}[]} _splices
   */
  enter(_text, _splices) {
    throw new Error("not implemented");
  }

  /**
   * @param {string} what
   * @param {unknown} [more]
   */
  trace(what, more) {
    if (this.traced) this.report.trace.push([Date.now(), what, more]);
  }

  below(limit) {
    return Math.floor(this.random() * limit);
  }

  edit() {
    const letters = [...this.text];
    const splices = [];
    const splice = (at, count, inserted) => {
      const deleted = letters.splice(at, count, ...inserted);
      splices.push({ before: letters.slice(0, at), deleted, inserted });
      this.report.deleted += deleted.join("");
      this.report.inserted += inserted.join("");
      this.cursor = at + inserted.length;
    };
    const at = Math.min(this.cursor, letters.length);
    const anywhere = this.below(letters.length + 1);
    const what = this.random();
    if (what < 0.6) splice(at, 0, characters(1));
    else if (what < 0.72) splice(anywhere, 0, characters(1 + this.below(3)));
    else if (what < 0.84) splice(Math.max(0, at - 1), at ? 1 : 0, []);
    else if (what < 0.92) splice(anywhere, 1 + this.below(6), []);
    else if (what < 0.95) splice(anywhere, this.below(4), characters(2));
    else if (what < 0.97) splice(at, 0, characters(20 + this.below(20)));
    else for (const place of [letters.length, anywhere, 0]) splice(place, 0, characters(1));
    this.enter(letters.join(""), splices);
  }

  get mayType() {
    return true;
  }

  async type() {
    while (this.typing) {
      if (this.mayType && !this.paused) this.edit();
      await new Promise((resolve) => setTimeout(resolve, this.pause()));
    }
  }

  pause() {
    if (this.thinks && this.random() < THOUGHTS) return 1000 + this.below(3000);
    return this.random() < 0.4 ? 20 + this.below(40) : 60 + this.below(240);
  }

  look() {
    const { text, online, waiting } = this;
    return { room: this.report.room, text, online, waiting };
  }

  result() {
    const { text, waiting, report, acked, overwritten } = this;
    return { ...report, text, waiting, acked: [...acked].join(""), overwritten: [...overwritten].join("") };
  }

  get resting() {
    return Date.now() - this.lastReceived > QUIET;
  }
}
