/** The wiring: which screen of the page the address asks for. */
import "./styles.css";
import { RoomDialog } from "./dialogs";
import { find, Frame, say } from "./frame";
import { applySize } from "./preferences";
import { linkTo, roomOfAddress, screenOfAddress, type ScreenName } from "./room";
import { watchTheme } from "./theme";
import { shownToken, watchToken } from "./token";
import { watchHistory } from "./trouble/rescue";

function link(room: string, screen: ScreenName): void {
  for (const each of document.querySelectorAll<HTMLAnchorElement>(".screens a")) {
    each.href = linkTo(room, each.dataset["screen"] as ScreenName);
    if (each.dataset["screen"] === screen) each.setAttribute("aria-current", "page");
  }
  // In a new tab: the plain client is there to be compared with the editor.
  // A token stays in its tab.
  const newTab = screen === "editor" && shownToken().token === undefined;
  if (newTab) find<HTMLAnchorElement>(".screens [data-screen=plain]").target = "_blank";
}

async function open(room: string, screen: ScreenName): Promise<void> {
  const frame = new Frame(room);
  // Each screen is loaded when it is needed: the plain client does not load Yjs.
  if (screen === "plain") (await import("./text/screen")).openPlainClient(frame, room);
  else if (screen === "playback") (await import("./playback/screen")).openPlayback(frame, room);
  else (await import("./yjs/screen")).openEditor(frame, room);
}

watchToken();
watchHistory();
watchTheme(find("#theme"));
applySize();
const room = roomOfAddress();
const screen = screenOfAddress();
document.documentElement.dataset["screen"] = screen;
const rooms = new RoomDialog(room, say);
if (room === null) {
  // Nothing was joined: the address names something that no room can be called.
  find("#badge").dataset["state"] = "closed";
  find("#badge .words").textContent = "No room";
  find("#room-name").textContent = "no room";
  rooms.open(new URLSearchParams(location.search).get("room") ?? "");
} else {
  find("#room-name").textContent = room;
  document.title = `${room}${screen === "playback" ? " · Playback" : ""} · Collaboration Service`;
  link(room, screen);
  void open(room, screen);
}
