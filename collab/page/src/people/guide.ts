/**
 * The way to others in the text: going to somebody's caret, and following it, until one types, scrolls or
 * presses Escape, or they leave.
 */
import type { Extension } from "@codemirror/state";
import { EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { type Caret, caretsIn, moved } from "../carets";
import { paint } from "../palette";
import { Edges } from "./edges";

/** How long it is shown that following has ended by itself. */
const FAREWELL_MS = 4000;
/** From the edge of the text to somebody who is followed, in pixels. */
const MARGIN = 80;
const FLASH: Keyframe[] = [
  { boxShadow: "0 0 0 0 var(--person-ink)", offset: 0 },
  { boxShadow: "0 0 0 12px transparent", offset: 0.5 },
  { boxShadow: "0 0 0 0 var(--person-ink)", offset: 0.5 },
  { boxShadow: "0 0 0 12px transparent", offset: 1 },
];
const FLASH_MS = 1400;
/** Keys that move the text and not the caret. */
const SCROLLING = new Set(["PageUp", "PageDown"]);

export interface Watcher {
  /** Who is followed now, null if nobody. */
  followed(id: string | null): void;
  say(sentence: string): void;
  /** Show everybody, also those for whom there is no place at the edge. */
  showEveryone(): void;
}

export class Guide {
  readonly extension: Extension;
  readonly #watcher: Watcher;
  readonly #desk: HTMLElement;
  readonly #pill = document.createElement("div");
  readonly #words = document.createElement("span");
  readonly #end = document.createElement("button");
  readonly #edges: Edges;
  #view: EditorView | undefined;
  #followed: Caret | null = null;
  #due = false;
  #hiding: ReturnType<typeof setTimeout> | undefined;

  constructor(desk: HTMLElement, watcher: Watcher) {
    this.#desk = desk;
    this.#watcher = watcher;
    this.#edges = new Edges(desk, (id) => this.goTo(id), () => watcher.showEveryone());
    this.#drawPill();
    this.extension = [
      ViewPlugin.define((view) => {
        this.#view = view;
        return { update: (update) => this.#updated(update), destroy: () => this.#close() };
      }),
      EditorView.domEventHandlers({
        wheel: () => this.#stop(),
        touchmove: () => this.#stop(),
        mousedown: (event, view) => {
          // On the scroll bar; a click into the text moves our caret, which is noticed anyway.
          if (event.target === view.scrollDOM) this.#stop();
        },
        keydown: ({ key }) => {
          if (SCROLLING.has(key)) this.#stop();
        },
        scroll: () => this.#edges.look(this.#view),
      }),
    ];
    document.addEventListener("keydown", this.#escape);
  }

  /** Bring somebody's caret into the middle, and make it conspicuous. */
  goTo(id: string): void {
    const caret = this.#caretOf(id);
    if (caret === undefined || this.#view === undefined) return;
    if (this.#followed?.id !== id) this.#stop();
    this.#scrollTo(caret, "center");
    this.#view.requestMeasure({ read: () => null, write: () => this.#flash(id) });
    this.#watcher.say(`${caret.name} is in line ${this.#lineOf(caret)}`);
  }

  /** Follow somebody, or nobody any more if it is they who are followed. */
  follow(id: string): void {
    if (this.#followed?.id === id) {
      this.#stop();
      return;
    }
    const caret = this.#caretOf(id);
    if (caret === undefined) return;
    this.#followed = caret;
    this.#show();
    this.#scrollTo(caret, "center");
    this.#watcher.say(`Following ${caret.name}. Escape ends it.`);
  }

  readonly #escape = (event: KeyboardEvent) => {
    // A dialog or a list that is open takes the key first.
    if (event.key === "Escape" && !event.defaultPrevented && document.querySelector("dialog[open]") === null) this.#stop();
  };

  #caretOf(id: string): Caret | undefined {
    return this.#view && caretsIn(this.#view).find((caret) => caret.id === id);
  }

  #lineOf({ head }: Caret): number {
    const doc = (this.#view as EditorView).state.doc;
    return doc.lineAt(Math.min(head, doc.length)).number;
  }

  #updated(update: ViewUpdate): void {
    if (update.docChanged || update.geometryChanged || update.viewportChanged || moved(update)) this.#edges.look(update.view);
    if (this.#followed === null) return;
    const ours = update.transactions.some((one) =>
      ["input", "delete", "move", "select", "undo", "redo"].some((event) => one.isUserEvent(event)),
    );
    if (ours) this.#stop();
    else if (update.docChanged || moved(update)) this.#followSoon();
  }

  /** After the update: an editor may not be told to scroll within one. */
  #followSoon(): void {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (this.#followed === null) return;
      const caret = this.#caretOf(this.#followed.id);
      if (caret === undefined) {
        this.#stop(`${this.#followed.name} is not here any more.`);
        return;
      }
      const renamed = caret.name !== this.#followed.name || caret.color !== this.#followed.color;
      this.#followed = caret;
      if (renamed) this.#show();
      this.#scrollTo(caret, "nearest");
    });
  }

  #stop(reason = ""): void {
    if (this.#followed === null) return;
    const { name } = this.#followed;
    this.#followed = null;
    this.#show();
    this.#watcher.say(`${reason} You no longer follow ${name}.`.trim());
    if (reason === "") return;
    this.#pill.hidden = false;
    this.#pill.dataset["over"] = "";
    this.#words.textContent = reason;
    this.#hiding = setTimeout(() => this.#show(), FAREWELL_MS);
  }

  #scrollTo({ head }: Caret, y: "center" | "nearest"): void {
    const view = this.#view as EditorView;
    const place = Math.min(head, view.state.doc.length);
    view.dispatch({ effects: EditorView.scrollIntoView(place, { y, yMargin: MARGIN }) });
  }

  #flash(id: string): void {
    const drawn = (this.#view as EditorView).dom.querySelector(`.cm-caret[data-id="${CSS.escape(id)}"]`);
    if (drawn === null) return;
    // The name is shown again, and longer than the flash lasts.
    for (const animation of drawn.getAnimations({ subtree: true })) {
      animation.currentTime = 0;
      animation.play();
    }
    if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches) drawn.animate(FLASH, FLASH_MS);
  }

  #drawPill(): void {
    this.#pill.id = "following";
    this.#pill.hidden = true;
    this.#end.type = "button";
    this.#end.textContent = "Stop";
    this.#end.addEventListener("click", () => {
      this.#stop();
      this.#view?.focus();
    });
    this.#pill.append(this.#words, this.#end);
    this.#desk.append(this.#pill);
  }

  #show(): void {
    const caret = this.#followed;
    clearTimeout(this.#hiding);
    delete this.#pill.dataset["over"];
    this.#pill.hidden = caret === null;
    this.#desk.classList.toggle("follows", caret !== null);
    if (caret !== null) {
      this.#words.textContent = `Following ${caret.name}`;
      this.#end.setAttribute("aria-label", `Stop following ${caret.name}`);
      paint(this.#desk, caret.color);
    }
    this.#watcher.followed(caret?.id ?? null);
  }

  #close(): void {
    this.#stop();
    clearTimeout(this.#hiding);
    document.removeEventListener("keydown", this.#escape);
    this.#pill.remove();
    this.#edges.remove();
  }
}
