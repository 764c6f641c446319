/** What is around the text, whichever way the room was entered. */
import { Badge, type State } from "./badge";
import { NameDialog } from "./dialogs";
import { Notices, type Refusal } from "./notices";
import { Presence } from "./presence";
import { guestName, memory, NAME_LENGTH } from "./room";
import { SettingsDialog } from "./settings";
import { nameInToken } from "./token";
import { Tools } from "./tools";
import { Banner } from "./trouble/banner";
import { sentenceOf } from "./trouble/words";
import { personFrom } from "./untrusted";

export function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector(selector) as T;
}

export function say(sentence: string): void {
  find("#spoken").textContent = sentence;
}

/** States in which the room's text is on the screen. */
const HAS_TEXT: ReadonlySet<State> = new Set(["connected", "saving", "saved", "viewing"]);

export class Frame {
  readonly say = say;
  readonly editor = find("#editor");
  readonly language = find<HTMLSelectElement>("#language");
  readonly notices = new Notices(find("#notices"));
  readonly badge = new Badge(find("#badge"), say);
  readonly presence: Presence;
  readonly tools: Tools;
  /** What is to be done about a new name, and whether anything would be lost by leaving. */
  renamed: (name: string) => void = () => undefined;
  dirty: () => boolean = () => false;
  /** The text on the screen, and what gives the editor the focus. */
  text: () => string = () => "";
  focus: () => void = () => undefined;
  readonly #trouble: Banner;
  #name: string;

  constructor(room: string) {
    this.tools = new Tools(room);
    new SettingsDialog();
    const known = nameInToken();
    this.#name = known || (memory.get("name") ?? guestName()).slice(0, NAME_LENGTH);
    if (!known) memory.set("name", this.#name);
    const names = new NameDialog((chosen) => this.#rename(chosen));
    this.presence = new Presence(find("#people"), () => names.open(this.#name), say);
    this.#trouble = new Banner({
      room,
      say,
      text: () => this.text(),
      leaving: () => {
        this.dirty = () => false;
      },
      focus: () => this.focus(),
    });
    window.addEventListener("beforeunload", (event) => {
      if (this.dirty()) event.preventDefault();
    });
  }

  get name(): string {
    return this.#name;
  }

  state(state: State, node: string): void {
    this.badge.show(state, node);
    if (HAS_TEXT.has(state)) this.tools.ready();
    this.#trouble.state(state);
    this.presence.dim(state === "offline" || state === "closed");
  }

  /** The room's text is on the screen. */
  opened(): void {
    this.#trouble.opened();
  }

  /** Some of what was typed is stored. */
  progress(): void {
    this.#trouble.progress();
  }

  refused(error: Refusal): void {
    if (!this.#trouble.refuse(error)) this.notices.show({ ...error, message: sentenceOf(error) });
  }

  /** What was refused has been accepted, or may be tried again. */
  recovered(): void {
    this.notices.clear();
    this.#trouble.forgive();
  }

  /** Shows ourselves, until it is known who else is here. */
  alone(): void {
    this.presence.show([{ id: "own", ...personFrom(this.#name, undefined) }], "own");
  }

  caretAt(line: number, column: number): void {
    find("#position").textContent = `Ln ${line}, Col ${column}`;
  }

  /** Said for good, in sight: keys that do nothing are a riddle otherwise. */
  viewOnly(): void {
    find("#view-only").hidden = false;
    this.#trouble.viewOnly();
    this.editor.dataset["access"] = "view";
  }

  languageFailed(): void {
    this.notices.show({ message: "The colors for this language couldn't be loaded.", code: "language" });
  }

  #rename(name: string): void {
    if (name === this.#name) return;
    this.#name = name;
    memory.set("name", name);
    this.renamed(name);
  }
}
