// CodeMirror 6 in a room; the binding brings the look of others' carets with it.
import { python } from "@codemirror/lang-python";
import { keymap } from "@codemirror/view";
import { basicSetup, EditorView } from "codemirror";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import * as Y from "yjs";
import { openRoom, type Place } from "./room";

/** Show a room in an element; return what ends that. */
export function openEditor(parent: HTMLElement, place: Place): () => void {
  const { text, awareness, close } = openRoom(place);
  const undoManager = new Y.UndoManager(text);
  const view = new EditorView({
    parent,
    doc: text.toString(),
    extensions: [
      keymap.of(yUndoManagerKeymap), // before basicSetup, whose undo knows nothing of others
      basicSetup,
      python(),
      yCollab(text, awareness, { undoManager }),
    ],
  });
  return () => {
    view.destroy();
    close();
  };
}
