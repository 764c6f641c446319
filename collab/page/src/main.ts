/** The wiring: every part of the page meets the others here and nowhere else. */
import "./styles.css";
import { Badge } from "./badge";
import { NameDialog, RoomDialog } from "./dialogs";
import { Editor, languages } from "./editor";
import { Notices } from "./notices";
import { Presence } from "./presence";
import { guestName, memory, NAME_LENGTH, roomOfAddress } from "./room";
import { Session } from "./session";
import { watchTheme } from "./theme";

function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector(selector) as T;
}

function say(sentence: string): void {
  find("#spoken").textContent = sentence;
}

function ownName(): string {
  const name = (memory.get("name") ?? guestName()).slice(0, NAME_LENGTH);
  memory.set("name", name);
  return name;
}

function openRoom(room: string): void {
  let name = ownName();
  let session: Session | undefined;
  const badge = new Badge(find("#badge"), say);
  const notices = new Notices(find("#notices"));
  const names = new NameDialog((chosen) => {
    if (chosen === name) return;
    name = chosen;
    memory.set("name", name);
    presence.show([{ id: "own", name }], "own");
    session?.rename(name);
  });
  const presence = new Presence(find("#people"), () => names.open(name), say);
  const editor = new Editor(find("#editor"), {
    edited: () => session?.edited(),
    moved: (line, column) => {
      find("#position").textContent = `Ln ${line}, Col ${column}`;
    },
  });
  chooseLanguage(editor, notices);
  presence.show([{ id: "own", name }], "own");

  session = new Session(room, name, {
    text: () => editor.text(),
    show: (code, about) => editor.show(code, about),
    joined: () => editor.unlock(),
    state: (state, node) => {
      badge.show(state, node);
      presence.dim(state === "offline" || state === "closed");
    },
    members: (members, ownId) => presence.show(members, ownId),
    refused: (error) => notices.show(error),
    recovered: () => notices.clear(),
  });
  window.addEventListener("beforeunload", (event) => {
    if (session?.unsaved) event.preventDefault();
  });

  find("#room-name").textContent = room;
  document.title = `${room} · Collaboration Service`;
  editor.focus();
}

function chooseLanguage(editor: Editor, notices: Notices): void {
  const select = find<HTMLSelectElement>("#language");
  select.replaceChildren(...languages.map(({ id, label }) => new Option(label, id)));
  const speak = async () => {
    try {
      await editor.speak(select.value);
    } catch {
      notices.show({ message: "The colours for this language couldn't be loaded.", code: "language" });
    }
  };
  select.addEventListener("change", () => {
    memory.set("language", select.value);
    void speak();
  });
  const remembered = memory.get("language");
  if (languages.some(({ id }) => id === remembered)) {
    select.value = remembered as string;
    void speak();
  }
}

watchTheme(find("#theme"));
const room = roomOfAddress();
const rooms = new RoomDialog(room, say);
if (room === null) {
  // Nothing was joined: the address names something that no room can be called.
  find("#badge").dataset["state"] = "closed";
  find("#badge .words").textContent = "No room";
  find("#room-name").textContent = "no room";
  rooms.open(new URLSearchParams(location.search).get("room") ?? "");
} else {
  openRoom(room);
}
