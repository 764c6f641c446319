/** How the editor looks. Every colour is a custom property of the page, so that themes switch in one place. */
import { HighlightStyle } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export const looks = EditorView.theme({
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "var(--paper)", fontSize: "var(--code-size)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "var(--code-line)" },
  ".cm-content": { padding: "1.1rem 0 40vh", caretColor: "var(--accent)" },
  ".cm-line": { padding: "0 1.25rem 0 0.9rem" },
  ".cm-placeholder": { color: "var(--faint)" },
  ".cm-gutters": { color: "var(--faint)", backgroundColor: "var(--paper)", border: "none", paddingLeft: "0.35rem" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "2.4rem", padding: "0 0.6rem 0 0.4rem" },
  ".cm-activeLine": { backgroundColor: "var(--line)" },
  ".cm-activeLineGutter": { color: "var(--ink)", backgroundColor: "transparent" },
  ".cm-cursor, .cm-dropCursor": { borderLeft: "2px solid var(--accent)", marginLeft: "-1px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  ".cm-selectionMatch": { backgroundColor: "var(--match)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--match)", outline: "1px solid var(--edge)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "transparent", color: "var(--bad)" },
  ".cm-searchMatch": { backgroundColor: "var(--match)", outline: "1px solid var(--edge)" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--selection)" },
  ".cm-specialChar": { color: "var(--bad)" },
  ".cm-received": { animation: "cm-received 1.6s ease-out forwards" },
  "@keyframes cm-received": {
    from: { backgroundColor: "var(--fresh)" },
    to: { backgroundColor: "transparent" },
  },
  "@media (prefers-reduced-motion: reduce)": { ".cm-received": { animation: "none" } },
  ".cm-panels": { color: "var(--ink)", backgroundColor: "var(--bar)", fontFamily: "var(--sans)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--edge)" },
  ".cm-panel.cm-search": { padding: "0.6rem 2.2rem 0.6rem 0.9rem" },
  ".cm-panel.cm-search label": { fontSize: "0.85rem", display: "inline-flex", alignItems: "center", gap: "0.25rem" },
  ".cm-textfield": {
    color: "var(--ink)",
    backgroundColor: "var(--paper)",
    border: "1px solid var(--edge-strong)",
    borderRadius: "6px",
    padding: "0.3rem 0.5rem",
    fontSize: "0.85rem",
  },
  ".cm-button": {
    color: "var(--ink)",
    backgroundColor: "var(--paper)",
    backgroundImage: "none",
    border: "1px solid var(--edge-strong)",
    borderRadius: "6px",
    padding: "0.3rem 0.6rem",
    fontSize: "0.85rem",
  },
  ".cm-button:active": { backgroundImage: "none", backgroundColor: "var(--line)" },
  ".cm-panel.cm-search [name=close]": { color: "var(--ink)", fontSize: "1.2rem", padding: "0 0.5rem" },
  ".cm-textfield:focus-visible, .cm-button:focus-visible, .cm-panel [name=close]:focus-visible": {
    outline: "2px solid var(--accent)",
    outlineOffset: "1px",
  },
});

export const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp, tags.character], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.self], color: "var(--code-number)" },
  { tag: [tags.comment, tags.docComment], color: "var(--code-comment)", fontStyle: "italic" },
  { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: "var(--code-function)" },
  { tag: [tags.definition(tags.variableName), tags.definition(tags.propertyName)], color: "var(--ink)" },
  { tag: [tags.function(tags.definition(tags.variableName))], color: "var(--code-function)", fontWeight: "600" },
  { tag: [tags.className, tags.typeName, tags.namespace, tags.standard(tags.typeName)], color: "var(--code-type)" },
  { tag: [tags.meta, tags.annotation, tags.processingInstruction], color: "var(--code-meta)" },
  { tag: [tags.operator, tags.punctuation, tags.separator, tags.bracket], color: "var(--code-operator)" },
  { tag: [tags.invalid], color: "var(--bad)" },
]);
