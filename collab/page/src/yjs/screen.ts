/** The screen of the editor, at the Yjs endpoint: one document, everybody's carets, and per-user undo. */
import { openSearchPanel } from "@codemirror/search";
import { keymap } from "@codemirror/view";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import { Guide } from "../people/guide";
import { caretWatcher, labelled, Lock, mount, oneLineEnd, OPENING, typing } from "../code";
import type { Frame } from "../frame";
import { Languages } from "../language";
import { memory } from "../room";
import { carriedText, dropCarriedText } from "../trouble/rescue";
import { cursors } from "./cursors";
import { Session } from "./session";

const LANGUAGE = "language";

export function openEditor(frame: Frame, room: string): void {
  let session: Session | undefined;
  frame.alone();
  frame.renamed = (name) => session?.rename(name);
  frame.dirty = () => session?.unsaved ?? false;
  const open = (viewer: boolean) => {
    session = enter(frame, room, viewer, () => {
      // What the room refused is in our document only, and would stay: a fresh one has what the room has.
      session?.close();
      open(true);
    });
  };
  open(false);
}

function enter(frame: Frame, room: string, viewer: boolean, strayed: () => void): Session {
  const lock = new Lock(viewer ? "" : OPENING);
  const session = new Session(room, frame.name, viewer, {
    state: (state, node) => frame.state(state, node),
    members: (members, ownId) => frame.presence.show(members, ownId),
    joined: () => {
      lock.set(view, false);
      frame.opened();
      putCarriedText(session);
    },
    progress: () => frame.progress(),
    refused: (error) => frame.refused(error),
    recovered: () => frame.recovered(),
    ended: () => lock.set(view, true),
    denied: (stray) => {
      lock.set(view, true);
      frame.viewOnly();
      if (!stray) return;
      view.destroy();
      strayed();
    },
  });
  const languages = new Languages(
    frame.language,
    (chosen) => session.settings.set(LANGUAGE, chosen),
    () => frame.languageFailed(),
  );
  const guide = new Guide(frame.editor.parentElement as HTMLElement, {
    followed: (id) => frame.presence.followed(id),
    showEveryone: () => frame.presence.showEveryone(),
    say: frame.say,
  });
  frame.presence.guide = guide;
  const view = mount(frame.editor, [
    lock.extension,
    languages.extension,
    keymap.of(yUndoManagerKeymap),
    yCollab(session.text, null, { undoManager: session.undo }),
    cursors(session.text, session.awareness),
    guide.extension,
    typing(),
    oneLineEnd,
    labelled("Shared code", "Press Escape, then Tab, to leave the editor."),
    caretWatcher((line, column) => frame.caretAt(line, column)),
  ]);
  languages.attach(view);
  frame.tools.attach({
    find: () => openSearchPanel(view),
    file: () => ({ text: session.text.toString(), ending: languages.ending }),
  });
  const follow = async () => {
    const language = session.settings.get(LANGUAGE);
    const label = await languages.show(language);
    if (label === null) return;
    memory.set(LANGUAGE, String(language));
    frame.say(`The language is ${label}`);
  };
  session.settings.observe(() => void follow());
  frame.language.disabled = viewer;
  frame.text = () => view.state.doc.toString();
  frame.focus = () => view.focus();
  view.focus();
  return session;
}

/** Begin a new room with the text that was brought from another; a room that has a text keeps it. */
function putCarriedText(session: Session): void {
  const carried = carriedText();
  if (carried === "") return;
  dropCarriedText();
  // With an origin of its own, so that undo does not take it back.
  if (session.text.length === 0) session.text.doc?.transact(() => session.text.insert(0, carried), "carried");
}
