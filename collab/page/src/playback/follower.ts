/**
 * Asks again and again what has happened in a room.
 *
 * By asking, not on a connection to the room: whoever only looks at the past is then no member of the room,
 * needs no document of it, and costs nothing while the tab is hidden. An answer without news costs Redis three
 * look-ups, and in a quiet room there is one every four seconds.
 */

/** Between two questions while the room changes, and in the end if it does not. */
const SOONEST_MS = 1000;
const LATEST_MS = 4000;
const SLOWER = 1.5;

export class Follower {
  readonly #ask: () => Promise<boolean>;
  #pause = SOONEST_MS;
  #due: ReturnType<typeof setTimeout> | undefined;
  #asking = false;
  #again = false;

  /** `ask` asks once, and says whether there was news; it throws nothing. */
  constructor(ask: () => Promise<boolean>) {
    this.#ask = ask;
    document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(this.#due) : this.poke()));
    window.addEventListener("online", () => this.poke());
    this.#wait();
  }

  /** Ask now: there is likely to be news. */
  poke(): void {
    clearTimeout(this.#due);
    this.#pause = SOONEST_MS;
    if (this.#asking) this.#again = true;
    else void this.#once();
  }

  async #once(): Promise<void> {
    this.#asking = true;
    do {
      this.#again = false;
      const news = await this.#ask();
      this.#pause = news ? SOONEST_MS : Math.min(LATEST_MS, this.#pause * SLOWER);
    } while (this.#again);
    this.#asking = false;
    this.#wait();
  }

  #wait(): void {
    if (document.hidden) return;
    clearTimeout(this.#due);
    this.#due = setTimeout(() => void this.#once(), this.#pause);
  }
}
