/** The editor of the plain client: it knows only whole texts, and shows whatever whole text it is given. */
import { history, historyKeymap } from "@codemirror/commands";
import { Annotation, EditorSelection, type Extension, StateEffect, StateField, Transaction } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, keymap } from "@codemirror/view";
import { caretWatcher, labelled, Lock, mount, OPENING, typing } from "../code";
import { Caret, splices } from "./splice";

/** How long a stretch that somebody else wrote stays tinted; as long as its animation. */
const TINT_MS = 1600;

const received = Annotation.define<boolean>();
const tint = StateEffect.define<{ from: number; to: number }>();
const untint = StateEffect.define<null>();

const tints = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(untint)) next = Decoration.none;
      if (effect.is(tint)) {
        next = next.update({ add: [Decoration.mark({ class: "cm-received" }).range(effect.value.from, effect.value.to)] });
      }
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

export interface Watcher {
  edited(): void;
  moved(line: number, column: number): void;
}

export class Editor {
  readonly view: EditorView;
  readonly #lock = new Lock(OPENING);
  readonly #caret = new Caret();
  #lineEnd = "\n";
  #fading: ReturnType<typeof setTimeout> | undefined;

  constructor(host: HTMLElement, watcher: Watcher, more: Extension) {
    this.view = mount(host, [
      this.#lock.extension,
      more,
      history(),
      keymap.of(historyKeymap),
      typing(),
      tints,
      labelled("Shared code", "Press Escape, then Tab, to leave the editor."),
      caretWatcher(watcher.moved),
      EditorView.updateListener.of((update) => {
        const ours = update.transactions.filter((one) => one.docChanged && !one.annotation(received));
        if (ours.length === 0) return;
        for (const one of ours) this.#caret.follow((position) => one.changes.mapPos(position, -1));
        watcher.edited();
      }),
    ]);
  }

  text(): string {
    return this.view.state.doc.toString().replaceAll("\n", this.#lineEnd);
  }

  /** Typing waits for the room's text: typed into an empty screen, it would be taken for all there is. */
  lock(locked: boolean): void {
    this.#lock.set(this.view, locked);
  }

  /** Shows the room's text. Caret and scroll stay with the letters that they were at. */
  show(code: string, { unsaved, refused }: { unsaved: boolean; refused: boolean }): void {
    const { state } = this.view;
    this.#lineEnd = lineEndOf(code);
    const before = state.doc.toString();
    const after = code.replace(/\r\n?/g, "\n");
    if (before === after) return;
    const edits = splices(before, after);
    const changes = state.changes(edits);
    const { main, ranges } = state.selection;
    const place = this.#caret.place(edits, before, main.head, unsaved);
    const alone = ranges.length === 1 && main.empty;
    const first = before === "" && state.readOnly;
    this.view.dispatch({
      changes,
      selection: alone && place !== null ? EditorSelection.cursor(place) : undefined,
      effects: first ? [] : tintsOf(edits),
      annotations: [
        received.of(true),
        // Undo takes back what was typed here, never what came from others. The one exception is a text
        // that the room refused: it exists nowhere else, and undo is how to get it back.
        Transaction.addToHistory.of(refused),
      ],
    });
    clearTimeout(this.#fading);
    this.#fading = setTimeout(() => this.view.dispatch({ effects: untint.of(null) }), TINT_MS);
  }
}

/**
 * The editor knows one line end. A text with Windows line ends throughout goes back with them; in a mixed
 * one our next edit makes them all alike.
 */
function lineEndOf(code: string): string {
  return code.includes("\r\n") && !/\r(?!\n)|(?<!\r)\n/.test(code) ? "\r\n" : "\n";
}

function tintsOf(edits: { from: number; to: number; insert: string }[]): StateEffect<unknown>[] {
  const effects: StateEffect<unknown>[] = [];
  let shift = 0;
  for (const { from, to, insert } of edits) {
    if (insert !== "") effects.push(tint.of({ from: from + shift, to: from + shift + insert.length }));
    shift += insert.length - (to - from);
  }
  return effects;
}
