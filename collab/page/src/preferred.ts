/** What a person prefers, in CodeMirror's terms; a change is in force at once, in the editor as it stands. */
import { indentUnit } from "@codemirror/language";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import { EditorView, ViewPlugin } from "@codemirror/view";
import { spoken } from "./language";
import { preferences } from "./preferences";

/** How wide a tab is shown. */
const TAB_WIDTH = 4;
const layout = new Compartment();

function unitFor(state: EditorState): string {
  const { indent } = preferences.current;
  const unit = indent === "auto" ? state.facet(spoken).indent : indent;
  return unit === "tab" ? "\t" : " ".repeat(Number(unit));
}

/** A fresh function each time: CodeMirror computes the indent again where it is given another one. */
function chosen(): Extension {
  return [indentUnit.compute([spoken], (state) => unitFor(state)), preferences.current.wrap ? EditorView.lineWrapping : []];
}

export function preferred(): Extension {
  return [
    EditorState.tabSize.of(TAB_WIDTH),
    layout.of(chosen()),
    ViewPlugin.define((view) => {
      const stop = preferences.watch(() => {
        view.dispatch({ effects: layout.reconfigure(chosen()) });
        view.requestMeasure();
      });
      return { destroy: stop };
    }),
  ];
}
