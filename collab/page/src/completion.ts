/**
 * Completes words of the text and keywords of its language. A list that opens while somebody types has
 * nothing selected: until they choose with the arrow keys, Enter and Tab do what they always do.
 */
import {
  acceptCompletion,
  autocompletion,
  closeCompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
  completeAnyWord,
} from "@codemirror/autocomplete";
import { syntaxTree } from "@codemirror/language";
import { Compartment, type Extension, Prec } from "@codemirror/state";
import { EditorView, keymap, ViewPlugin } from "@codemirror/view";
import { type LanguageKey, spoken } from "./language";
import { preferences } from "./preferences";

/** A shorter word is typed before the list is read. In UTF-16 units. */
const SHORTEST_START = 2;
/** Whoever types a longer one has pasted it; the text of others may be one word of 256 KiB. In UTF-16 units. */
const LONGEST_OFFERED = 64;
/** Prose and data: there a list of words is in the way, unless it is asked for. */
const PROSE = /comment|string/i;
const ONE_WORD = /^[\p{L}\p{N}_$-]+$/u;

let keywordsOf: (language: LanguageKey) => string[] = () => [];

/** Fetched when the page has opened: later the network may be away. Without them there are the words of the text. */
function fetchKeywords(): void {
  import("./keywords").then(
    (fetched) => {
      keywordsOf = fetched.keywordsOf;
    },
    () => undefined,
  );
}

async function complete(context: CompletionContext): Promise<CompletionResult | null> {
  const typed = context.matchBefore(/[\p{L}\p{N}_$]+/u)?.text ?? "";
  if (!context.explicit && (typed.length < SHORTEST_START || /^\d/.test(typed) || inProse(context))) return null;
  const found = await completeAnyWord(context);
  if (found === null) return null;
  const { key } = context.state.facet(spoken);
  const loud = key === "sql" && typed !== "" && typed === typed.toUpperCase();
  const keywords = new Set(keywordsOf(key).map((word) => (loud ? word.toUpperCase() : word)));
  const words = found.options.filter(
    ({ label }) => label.length <= LONGEST_OFFERED && !keywords.has(label) && !/^\d/.test(label),
  );
  const options: Completion[] = [...words, ...Array.from(keywords, (label) => ({ label, type: "keyword" }))];
  const labels = new Set(options.map(({ label }) => label));
  return {
    from: found.from,
    // A word that is typed in full needs no completion.
    options: options.filter(({ label }) => label !== typed),
    validFor: (word) => ONE_WORD.test(word) && !labels.has(word),
  };
}

function inProse({ state, pos }: CompletionContext): boolean {
  return PROSE.test(syntaxTree(state).resolveInner(pos, -1).name);
}

const switchable = new Compartment();

function chosen(): Extension {
  return autocompletion({
    activateOnTyping: preferences.current.suggest,
    override: [complete],
    selectOnOpen: false,
    filterStrict: true,
    icons: false,
  });
}

export function completion(): Extension {
  fetchKeywords();
  return [
    // One Escape closes the list and lets the next Tab leave the editor: CodeMirror's own binding would end it here.
    Prec.highest(keymap.of([{ key: "Escape", run: (view) => closeCompletion(view) && false }])),
    switchable.of(chosen()),
    ViewPlugin.define((view) => ({
      destroy: preferences.watch(() => view.dispatch({ effects: switchable.reconfigure(chosen()) })),
    })),
    Prec.high(keymap.of([{ key: "Tab", run: acceptCompletion }])),
    list,
  ];
}

const list = EditorView.theme({
  ".cm-tooltip": { border: "1px solid var(--edge-strong)", borderRadius: "8px", backgroundColor: "var(--raised)" },
  ".cm-tooltip.cm-tooltip-autocomplete": {
    overflow: "hidden",
    boxShadow: "0 6px 24px var(--shadow)",
    "& > ul": { minWidth: "10rem", maxWidth: "min(24rem, 90vw)", maxHeight: "13rem", fontFamily: "var(--mono)" },
    "& > ul > li": { padding: "0.25rem 0.7rem", color: "var(--ink)", fontSize: "0.8125rem", lineHeight: "1.25rem" },
    "& > ul > li[aria-selected]": { color: "var(--on-accent)", backgroundColor: "var(--accent)" },
  },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  // A finger needs more room than a mouse.
  "@media (pointer: coarse)": {
    ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "0.75rem 0.7rem", fontSize: "0.9375rem" },
  },
});
