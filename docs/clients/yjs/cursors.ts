// Each person's color and name, as variables for cursors.css.
import type { Awareness } from "y-protocols/awareness";

/** Keep a style sheet with everybody's color and name; return what removes it. */
export function colorCursors(awareness: Awareness): () => void {
  const sheet = new CSSStyleSheet();
  function update() {
    sheet.replaceSync("");
    for (const [client, { user }] of awareness.getStates()) {
      const at = sheet.insertRule(`.yRemoteSelection-${client}, .yRemoteSelectionHead-${client} {}`);
      const { style } = sheet.cssRules[at] as CSSStyleRule;
      // Clients say of themselves what they like: set as properties, their words cannot be other rules.
      style.setProperty("--color", String(user?.color ?? ""));
      style.setProperty("--name", JSON.stringify(String(user?.name ?? "Guest").slice(0, 40)));
    }
  }
  document.adoptedStyleSheets.push(sheet);
  awareness.on("change", update);
  update();
  return () => {
    awareness.off("change", update);
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
  };
}
