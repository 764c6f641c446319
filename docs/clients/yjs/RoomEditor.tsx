// Monaco in React, in a room: carets stay where they are, others' carets are visible, undo is one's own.
import Editor, { loader } from "@monaco-editor/react";
import * as monaco from "monaco-editor";
import EditorWorker from "monaco-editor/editor/editor.worker.js?worker";
import { useEffect, useState } from "react";
import { MonacoBinding } from "y-monaco";
import * as Y from "yjs";
import { colorCursors } from "./cursors";
import "./cursors.css";
import { openRoom, type Place } from "./room";

// Otherwise @monaco-editor/react loads Monaco from a CDN when the page runs: a second copy, of another
// version than the one y-monaco uses, from somebody else's server.
loader.config({ monaco });
self.MonacoEnvironment = { getWorker: () => new EditorWorker() };

/** Give it a `place` that stays the same object as long as it is the same place (`useMemo`). */
export function RoomEditor({ place, language }: { place: Place; language: string }) {
  const [editor, setEditor] = useState<monaco.editor.IStandaloneCodeEditor>();

  useEffect(() => {
    const model = editor?.getModel();
    if (!editor || !model) return; // it mounts later
    model.setValue(""); // of the room before, if there was one
    model.setEOL(monaco.editor.EndOfLineSequence.LF); // on Windows it would count two characters

    const { text, awareness, close } = openRoom(place);
    const binding = new MonacoBinding(text, model, new Set([editor]), awareness);
    const uncolor = colorCursors(awareness);

    // Monaco's own undo does not know of others' edits, and would put text in wrong places.
    const undo = new Y.UndoManager(text, { trackedOrigins: new Set([binding]) });
    const { CtrlCmd, Shift } = monaco.KeyMod;
    const { KeyY, KeyZ } = monaco.KeyCode;
    const actions = [
      { id: "undo-mine", label: "Undo", keybindings: [CtrlCmd | KeyZ], run: () => void undo.undo() },
      { id: "redo-mine", label: "Redo", keybindings: [CtrlCmd | KeyY, CtrlCmd | Shift | KeyZ], run: () => void undo.redo() },
    ].map((action) => editor.addAction(action));

    return () => {
      for (const action of actions) action.dispose();
      undo.destroy();
      uncolor();
      binding.destroy();
      close();
    };
  }, [editor, place]);

  return <Editor language={language} onMount={setEditor} options={{ padding: { top: 24 } }} />;
}
