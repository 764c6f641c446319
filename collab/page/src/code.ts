/** CodeMirror as every screen of this page has it: the looks, the keys, and the words it is called by. */
import { indentWithTab, defaultKeymap } from "@codemirror/commands";
import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
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
import { completion } from "./completion";
import { colors, looks } from "./looks";
import { preferred } from "./preferred";
import { findPanel } from "./find";

/** What there is to see, whether or not one may type. */
export const viewing: Extension = [
  lineNumbers(),
  highlightSpecialChars({ render: specialChar }),
  drawSelection(),
  bracketMatching(),
  highlightSelectionMatches(),
  findPanel,
  keymap.of(searchKeymap),
  looks,
  syntaxHighlighting(colors),
];

/** What helps with typing. The keys for undo belong to each screen. */
export const typing = (): Extension => [
  viewing,
  completion(),
  highlightActiveLine(),
  highlightActiveLineGutter(),
  dropCursor(),
  rectangularSelection(),
  EditorState.allowMultipleSelections.of(true),
  indentOnInput(),
  closeBrackets(),
  keymap.of([...closeBracketsKeymap, ...defaultKeymap, indentWithTab]),
];

/** What stands in an empty text. */
const INVITATION = "Start typing. Everyone in this room sees it as you go.";
export const OPENING = "Opening the room…";

/** A carriage return is part of a Windows line end, so to be seen, and nothing to worry about. */
function specialChar(code: number, description: string | null, picture: string): HTMLElement {
  const drawn = document.createElement("span");
  drawn.className = code === 13 ? "cm-return" : "cm-specialChar";
  drawn.textContent = picture;
  drawn.title = description ?? "";
  drawn.setAttribute("aria-label", description ?? "");
  return drawn;
}

export function labelled(label: string, description: string): Extension {
  return EditorView.contentAttributes.of({
    "aria-label": label,
    "aria-description": description,
    // It can have the focus without; this says so to software that looks for what scrolls and can't.
    tabindex: "0",
    autocapitalize: "off",
    autocorrect: "off",
    spellcheck: "false",
  });
}

/** In a shadow root CodeMirror keeps its styles in adopted style sheets, which the page's policy allows. */
export function mount(host: HTMLElement, extensions: Extension, doc = ""): EditorView {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  return new EditorView({ parent: root, root, state: EditorState.create({ doc, extensions: [extensions, preferred()] }) });
}

/**
 * Where positions are counted in the room's text: a carriage return that another client wrote is a letter
 * then, not half a line end, and what is pasted here brings none.
 */
export const oneLineEnd: Extension = [
  EditorState.lineSeparator.of("\n"),
  EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?/g, "\n")),
];

/** A switch that keeps people from typing, on until it is opened. Only an open text invites to type. */
export class Lock {
  readonly #compartment = new Compartment();
  readonly extension: Extension;
  #locked: boolean | undefined;

  /** `words` stand in an empty text until the switch is used. */
  constructor(words = "") {
    this.extension = this.#compartment.of([EditorState.readOnly.of(true), words === "" ? [] : placeholder(words)]);
  }

  set(view: EditorView, locked: boolean): void {
    if (this.#locked === locked) return;
    this.#locked = locked;
    const extension = locked ? EditorState.readOnly.of(true) : placeholder(INVITATION);
    view.dispatch({ effects: this.#compartment.reconfigure(extension) });
  }
}

/** Tells where the caret is, counted as people count. */
export function caretWatcher(moved: (line: number, column: number) => void): Extension {
  return EditorView.updateListener.of((update) => {
    if (!update.docChanged && !update.selectionSet) return;
    const head = update.state.selection.main.head;
    const line = update.state.doc.lineAt(head);
    moved(line.number, head - line.from + 1);
  });
}
