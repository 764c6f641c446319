/**
 * The banner over the text when something is wrong: what, since when, what it means, and the ways on.
 *
 * A trouble that passes by itself is shown only when it lasts, and its end is said once. A trouble that
 * lasts is shown at once, and hides the others until it is over.
 */
import { fileName, saveText } from "../files";
import "./trouble.css";
import type { State } from "../badge";
import type { Refusal } from "../notices";
import { freshRoom, linkTo } from "../room";
import { mayOpenAnyRoom } from "../token";
import { carriedText, copyText, goOnInNewRoom } from "./rescue";
import { KINDS, type Kind, LASTING, type Lasting, type Passing, sinceWords, wordsOf } from "./words";

/** How long a trouble lasts before it is shown: a shorter one would only blink. */
const PATIENCE_MS: Record<Passing, number> = { opening: 2500, offline: 1500, unsaved: 3000 };
/** How often "for 2 min" is written again, and how long the service may take to answer. */
const TICK_MS = 15_000;
const PROBE_MS = 5000;
/** Who types all the time never has everything saved; what is stored for this long shows that it works. */
const SETTLING_MS = 1000;
/** How long the banner says that all is well again. */
const FAREWELL_MS = 5000;
/** In UTF-8, a quarter of what a room holds by default: if such a text is too large, its history is. */
const SURELY_FITS_BYTES = 65_536;

const TROUBLES: Partial<Record<State, Passing>> = {
  connecting: "opening",
  offline: "offline",
  saving: "unsaved",
  unsaved: "unsaved",
};

export interface Surroundings {
  room: string;
  /** Everything on the screen, stored or not. */
  text(): string;
  /** Leaving the page loses nothing that is not in the new room. */
  leaving(): void;
  /** Where the focus goes when the button that had it goes. */
  focus(): void;
  say(sentence: string): void;
}

function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector(selector) as T;
}

export class Banner {
  readonly #banner = find("#trouble");
  readonly #around: Surroundings;
  #passing: Passing | null = null;
  #lasting: Lasting | null = null;
  #since = 0;
  #shown = false;
  #opened = false;
  #viewer = false;
  #reachable: boolean | undefined;
  #showing: ReturnType<typeof setTimeout> | undefined;
  #hiding: ReturnType<typeof setTimeout> | undefined;
  #settling: ReturnType<typeof setTimeout> | undefined;
  #ticking: ReturnType<typeof setInterval> | undefined;

  constructor(around: Surroundings) {
    this.#around = around;
    const listen = (name: string, handle: (button: HTMLButtonElement) => void) => {
      const button = find<HTMLButtonElement>(`#trouble [data-way=${name}]`);
      button.addEventListener("click", () => handle(button));
    };
    listen("copy", (button) => void this.#copy(button));
    listen("download", () => saveText(fileName(around.room, "txt"), this.#text()));
    listen("empty-room", () => window.open(linkTo(freshRoom()), "_blank", "noopener"));
    listen("new-room", (button) => {
      // A second click would open a second room.
      button.disabled = true;
      around.leaving();
      goOnInNewRoom(this.#text());
    });
  }

  /** What the room holds is known, and may be typed into. */
  opened(): void {
    this.#opened = true;
  }

  viewOnly(): void {
    this.#viewer = true;
  }

  /** Something that was typed is stored, though perhaps not the last of it. */
  progress(): void {
    if (this.#passing !== "unsaved") return;
    if (this.#shown) {
      this.#settling ??= setTimeout(() => this.#recover("Changes are being saved."), SETTLING_MS);
    } else {
      this.#passing = null;
      this.#suspect("unsaved");
    }
  }

  state(state: State): void {
    const trouble = TROUBLES[state];
    // The text is there, but the service has not told that it is stored.
    const kind = trouble === "opening" && this.#opened ? "unsaved" : trouble;
    if (kind !== undefined) this.#suspect(kind);
    else if (state !== "closed") this.#recover(state === "saved" ? "Everything that you typed is saved." : "");
  }

  /** Show a refusal; return false if it is none that this banner knows. */
  refuse({ code = "" }: Refusal): boolean {
    // What passes by itself shows in the state of the connection.
    if (code === "store_unavailable" || code === "draining") return true;
    let kind = code === "unauthorized" ? (this.#opened || this.#viewer ? "expired" : "uninvited") : KINDS[code];
    if (kind === undefined) return false;
    if (kind === "too-large" && new Blob([this.#text()]).size < SURELY_FITS_BYTES) kind = "worn-out";
    if (kind === this.#lasting) return true;
    this.#lasting = kind;
    this.#passing = null;
    this.#unsettle();
    this.#since = Date.now();
    this.#show();
    return true;
  }

  /** What was refused has been accepted, or will be tried again. */
  forgive(): void {
    if (this.#lasting === null) return;
    this.#lasting = null;
    this.#hide();
  }

  #text(): string {
    return carriedText() || this.#around.text();
  }

  #suspect(kind: Passing): void {
    if (this.#lasting !== null || this.#passing === kind) return;
    if (this.#passing === null) this.#since = Date.now();
    this.#passing = kind;
    clearTimeout(this.#showing);
    this.#unsettle();
    // A banner that is shown already changes at once, except to "not saved": that would blink.
    if (this.#shown && kind !== "unsaved") this.#show();
    else this.#showing = setTimeout(() => this.#show(), PATIENCE_MS[kind]);
  }

  #recover(saved: string): void {
    const before = this.#passing;
    this.#passing = null;
    this.#lasting = null;
    clearTimeout(this.#showing);
    this.#unsettle();
    if (!this.#shown) return;
    if (before === null) this.#hide();
    else this.#write("over", "All is well again.", saved);
  }

  #unsettle(): void {
    clearTimeout(this.#settling);
    this.#settling = undefined;
  }

  #show(): void {
    const kind = this.#lasting ?? this.#passing;
    if (kind === null) return;
    clearTimeout(this.#showing);
    clearTimeout(this.#hiding);
    this.#shown = true;
    this.#reachable = undefined;
    this.#render(kind);
    clearInterval(this.#ticking);
    if (this.#passing === null) return;
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    if (kind === "opening") void this.#probe();
  }

  #tick(): void {
    find("#trouble .since").textContent = sinceWords(this.#since, Date.now());
    if (this.#passing === "opening") void this.#probe();
  }

  /** Whether it is the network or the service: a WebSocket that fails does not tell. */
  async #probe(): Promise<void> {
    let reachable = false;
    try {
      reachable = (await fetch("healthz", { cache: "no-store", signal: AbortSignal.timeout(PROBE_MS) })).ok;
    } catch {
      // No answer.
    }
    if (this.#passing !== "opening" || this.#lasting !== null || reachable === this.#reachable) return;
    this.#reachable = reachable;
    this.#render("opening");
  }

  #render(kind: Kind): void {
    const { title, meaning } = wordsOf(kind, { reachable: this.#reachable, viewer: this.#viewer });
    this.#write(kind, title, meaning);
    const passes = !(kind in LASTING);
    find("#trouble .since").textContent = passes ? sinceWords(this.#since, Date.now()) : "";
    const text = this.#text() !== "";
    // A text that is empty now may be typed while the banner is shown.
    this.#offer("copy", text || (passes && this.#opened));
    this.#offer("download", text && !passes);
    this.#offer("new-room", text && ["worn-out", "ended", "removed"].includes(kind) && mayOpenAnyRoom());
    // No room would take this text.
    this.#offer("empty-room", kind === "too-large" && mayOpenAnyRoom());
  }

  #write(kind: Kind | "over", title: string, meaning: string): void {
    const lasts = kind in LASTING;
    this.#banner.hidden = false;
    this.#banner.dataset["kind"] = kind;
    const words = find("#trouble .message");
    // A screen reader reads what changes in here, and so does not read the clock.
    words.setAttribute("role", lasts ? "alert" : "status");
    const strong = document.createElement("strong");
    strong.textContent = title;
    words.replaceChildren(strong, ` ${meaning}`);
    if (kind !== "over") return;
    find("#trouble .since").textContent = "";
    for (const way of ["copy", "download", "new-room", "empty-room"]) this.#offer(way, false);
    clearInterval(this.#ticking);
    this.#shown = false;
    this.#hiding = setTimeout(() => this.#hide(), FAREWELL_MS);
  }

  #offer(way: string, offered: boolean): void {
    const button = find(`#trouble [data-way=${way}]`);
    const hadFocus = button === document.activeElement;
    button.hidden = !offered;
    if (hadFocus && !offered) this.#around.focus();
  }

  #hide(): void {
    clearTimeout(this.#hiding);
    clearInterval(this.#ticking);
    const hadFocus = this.#banner.contains(document.activeElement);
    this.#banner.hidden = true;
    this.#shown = false;
    if (hadFocus) this.#around.focus();
  }

  async #copy(button: HTMLButtonElement): Promise<void> {
    if (!(await copyText(this.#text()))) return;
    this.#around.say("Text copied");
    button.dataset["copied"] = "";
    setTimeout(() => delete button.dataset["copied"], 1800);
  }
}
