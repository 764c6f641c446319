/** The state of the connection and of our text, in a few words. */
import type { State } from "./session";

const WORDS: Record<State, string> = {
  connecting: "Connecting…",
  connected: "Connected",
  saving: "Saving…",
  saved: "All changes saved",
  unsaved: "Not saved",
  offline: "Offline, reconnecting…",
  closed: "Not in this room",
};
/** "Saving…" that lasts shorter than this would only flicker. */
const PATIENCE_MS = 300;

export class Badge {
  readonly #badge: HTMLElement;
  readonly #words: HTMLElement;
  readonly #node: HTMLElement;
  readonly #say: (sentence: string) => void;
  #state: State | undefined;
  #slow: ReturnType<typeof setTimeout> | undefined;

  constructor(badge: HTMLElement, say: (sentence: string) => void) {
    this.#badge = badge;
    this.#words = badge.querySelector(".words") as HTMLElement;
    this.#node = badge.querySelector(".node") as HTMLElement;
    this.#say = say;
  }

  show(state: State, node: string): void {
    this.#badge.dataset["node"] = node;
    const away = state === "offline" || state === "connecting";
    this.#node.textContent = node && !away ? `node ${node}` : "";
    if (state === this.#state) return;
    const before = this.#state;
    this.#state = state;
    this.#badge.dataset["state"] = state;
    clearTimeout(this.#slow);
    const write = () => {
      this.#words.textContent = WORDS[state];
    };
    if (state === "saving" && before !== undefined) this.#slow = setTimeout(write, PATIENCE_MS);
    else write();
    // Saving and saved alternate with every letter: nothing to read out.
    if (state === "offline" || state === "unsaved" || state === "closed") this.#say(WORDS[state]);
    if (before === "offline" && state !== "connecting") this.#say("Connected again");
  }
}
