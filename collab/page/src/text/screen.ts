/** The screen of the plain client: it speaks the whole-text contract of the Socket.IO endpoint. */
import { openSearchPanel } from "@codemirror/search";
import type { Frame } from "../frame";
import { Languages } from "../language";
import { memory } from "../room";
import { Editor } from "./editor";
import { Session } from "./session";

const LANGUAGE = "language";

export function openPlainClient(frame: Frame, room: string): void {
  // The contract knows texts only, so the language is this page's own.
  const languages = new Languages(
    frame.language,
    (chosen) => {
      memory.set(LANGUAGE, chosen);
      void languages.show(chosen);
    },
    () => frame.languageFailed(),
  );
  const editor = new Editor(
    frame.editor,
    {
      edited: () => session?.edited(),
      moved: (line, column) => frame.caretAt(line, column),
    },
    languages.extension,
  );
  languages.attach(editor.view);
  frame.tools.attach({
    find: () => openSearchPanel(editor.view),
    file: () => ({ text: editor.text(), ending: languages.ending }),
  });
  void languages.show(memory.get(LANGUAGE));
  frame.alone();
  let session: Session | undefined;
  session = new Session(room, frame.name, {
    text: () => editor.text(),
    show: (code, about) => editor.show(code, about),
    joined: () => {
      editor.lock(false);
      frame.opened();
    },
    state: (state, node) => frame.state(state, node),
    members: (members, ownId) => frame.presence.show(members, ownId),
    progress: () => frame.progress(),
    refused: (error) => frame.refused(error),
    recovered: () => frame.recovered(),
    ended: () => editor.lock(true),
    denied: () => {
      editor.lock(true);
      frame.viewOnly();
    },
  });
  frame.renamed = (name) => {
    frame.alone();
    session?.rename(name);
  };
  frame.dirty = () => session?.unsaved ?? false;
  frame.text = () => editor.text();
  frame.focus = () => editor.view.focus();
  editor.view.focus();
}
