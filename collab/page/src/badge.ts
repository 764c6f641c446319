/** The state of the connection and of our text, in a few words. */

/**
 * `unsaved`: connected, but the room refused our text; `viewing`: we may look and not type;
 * `closed`: the room refused us, or has ended.
 */
export type State =
  | "connecting"
  | "connected"
  | "saving"
  | "saved"
  | "unsaved"
  | "offline"
  | "viewing"
  | "closed"
  | "playback";

const WORDS: Record<State, string> = {
  connecting: "Connecting…",
  connected: "Connected",
  saving: "Saving…",
  saved: "All changes saved",
  unsaved: "Not saved",
  offline: "Offline, reconnecting…",
  viewing: "View only",
  closed: "Not in this room",
  playback: "Playback",
};
/** `?debug` in the address shows which node serves us. */
export const DEBUG = new URLSearchParams(location.search).has("debug");
/** "Saving…" that lasts shorter than this would only flicker. */
const PATIENCE_MS = 300;
const AWAY: ReadonlySet<State> = new Set(["offline", "connecting", "closed"]);

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

  show(state: State, node = ""): void {
    this.#badge.dataset["node"] = node;
    this.#node.textContent = DEBUG && node && !AWAY.has(state) ? `node ${node}` : "";
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
    // Saving and saved alternate with every letter, and the banner says what is wrong.
    if (state === "viewing") this.#say(WORDS[state]);
  }
}
