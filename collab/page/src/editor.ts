/** CodeMirror as this page needs it: one text, shown and edited, and told apart who changed it. */
import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import {
  Annotation,
  Compartment,
  EditorSelection,
  EditorState,
  type Extension,
  StateEffect,
  StateField,
  Transaction,
} from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  dropCursor,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  placeholder,
  rectangularSelection,
} from "@codemirror/view";
import { Caret, splices } from "./splice";
import { colours, looks } from "./looks";

/** Python comes with the page; the others are fetched when somebody asks for them. */
const LANGUAGES: Record<string, { label: string; load: () => Extension | Promise<Extension> }> = {
  python: { label: "Python", load: () => python() },
  javascript: {
    label: "JavaScript",
    load: async () => (await import("@codemirror/lang-javascript")).javascript({ jsx: true }),
  },
  java: { label: "Java", load: async () => (await import("@codemirror/lang-java")).java() },
  cpp: { label: "C++", load: async () => (await import("@codemirror/lang-cpp")).cpp() },
};

export const languages = Object.entries(LANGUAGES).map(([id, { label }]) => ({ id, label }));

/** How long a stretch that somebody else wrote stays tinted; as long as its animation. */
const TINT_MS = 1600;
const INDENT = 4;

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
  readonly #view: EditorView;
  readonly #language = new Compartment();
  readonly #lock = new Compartment();
  readonly #caret = new Caret();
  #lineEnd = "\n";
  #wanted = "python";
  #fading: ReturnType<typeof setTimeout> | undefined;

  constructor(host: HTMLElement, watcher: Watcher) {
    const root = host.attachShadow({ mode: "open" });
    this.#view = new EditorView({
      parent: root,
      root,
      state: EditorState.create({
        extensions: [
          this.#lock.of(EditorState.readOnly.of(true)),
          this.#language.of(python()),
          lineNumbers(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          highlightSpecialChars(),
          history(),
          drawSelection(),
          dropCursor(),
          rectangularSelection(),
          EditorState.allowMultipleSelections.of(true),
          EditorState.tabSize.of(INDENT),
          indentUnit.of(" ".repeat(INDENT)),
          indentOnInput(),
          bracketMatching(),
          closeBrackets(),
          highlightSelectionMatches(),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, indentWithTab]),
          placeholder("Start typing. Everyone in this room sees it as you go."),
          tints,
          looks,
          syntaxHighlighting(colours),
          EditorView.contentAttributes.of({
            "aria-label": "Shared code",
            "aria-description": "Press Escape, then Tab, to leave the editor.",
            autocapitalize: "off",
            autocorrect: "off",
            spellcheck: "false",
          }),
          EditorView.updateListener.of((update) => {
            const ours = update.transactions.filter((one) => one.docChanged && !one.annotation(received));
            if (ours.length > 0) {
              for (const one of ours) this.#caret.follow((position) => one.changes.mapPos(position, -1));
              watcher.edited();
            }
            if (update.docChanged || update.selectionSet) {
              const head = update.state.selection.main.head;
              const line = update.state.doc.lineAt(head);
              watcher.moved(line.number, head - line.from + 1);
            }
          }),
        ],
      }),
    });
  }

  text(): string {
    return this.#view.state.doc.toString().replaceAll("\n", this.#lineEnd);
  }

  /** Typing waits for the room's text: typed into an empty screen, it would be taken for all there is. */
  unlock(): void {
    if (this.#view.state.readOnly) this.#view.dispatch({ effects: this.#lock.reconfigure([]) });
  }

  /** Shows the room's text. Caret and scroll stay with the letters that they were at. */
  show(code: string, { unsaved, refused }: { unsaved: boolean; refused: boolean }): void {
    const { state } = this.#view;
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
    this.#view.dispatch({
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
    this.#fading = setTimeout(() => this.#view.dispatch({ effects: untint.of(null) }), TINT_MS);
  }

  async speak(language: string): Promise<void> {
    this.#wanted = language;
    const extension = await LANGUAGES[language]?.load();
    if (extension && this.#wanted === language) {
      this.#view.dispatch({ effects: this.#language.reconfigure(extension) });
    }
  }

  focus(): void {
    this.#view.focus();
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
