/** Names: of rooms, of people, and how they get into the address bar and into storage. */

const ROOM = /^[A-Za-z0-9\-_.:]{1,128}$/;
export const NAME_LENGTH = 40;

const QUALITIES = [
  "amber", "brisk", "calm", "clever", "coral", "dapper", "eager", "gentle", "golden", "hazel", "indigo",
  "jolly", "keen", "lively", "mellow", "nimble", "olive", "plucky", "quiet", "rosy", "silver", "sunny",
  "tidy", "witty",
];
const ANIMALS = [
  "badger", "bison", "crane", "dolphin", "falcon", "finch", "gecko", "heron", "ibex", "koala", "lemur",
  "lynx", "magpie", "marten", "newt", "otter", "owl", "panda", "puffin", "raven", "robin", "seal", "tapir",
  "wren",
];
/** Without the letters and digits that are taken for each other when read aloud. */
const TAIL = "abcdefghjkmnpqrstuvwxyz23456789";
/** A room has no lock but its name; this many characters make it one that isn't guessed. */
const TAIL_LENGTH = 8;

function pick<T>(choices: ArrayLike<T>): T {
  const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
  return choices[number % choices.length] as T;
}

export function isRoom(name: string): boolean {
  return ROOM.test(name);
}

export function freshRoom(): string {
  const tail = Array.from({ length: TAIL_LENGTH }, () => pick(TAIL)).join("");
  return `${pick(QUALITIES)}-${pick(ANIMALS)}-${tail}`;
}

/** The editor, the plain client, or the room's history. */
export type ScreenName = "editor" | "plain" | "playback";

const SCREENS: Record<ScreenName, string> = { editor: "", plain: "&client=plain", playback: "&playback" };

/** The address of a room on this very page; without a screen's name, what people send to each other. */
export function linkTo(room: string, screen: ScreenName = "editor"): string {
  const address = new URL(location.href);
  address.search = "";
  address.hash = "";
  // The characters of a room's name need no escaping in a query.
  return `${address.href}?room=${room}${SCREENS[screen]}`;
}

export function screenOfAddress(): ScreenName {
  const query = new URLSearchParams(location.search);
  if (query.has("playback")) return "playback";
  return query.get("client") === "plain" ? "plain" : "editor";
}

/** The room that the address names, a fresh one where it names none, null where it can't be one. */
export function roomOfAddress(): string | null {
  const named = new URLSearchParams(location.search).get("room")?.trim();
  if (named) return isRoom(named) ? named : null;
  const room = freshRoom();
  history.replaceState(null, "", linkTo(room, screenOfAddress()));
  return room;
}

/** What somebody typed or pasted where a room's name is asked for: the name, or a link to the room. */
export function roomIn(entry: string): string | null {
  const typed = entry.trim();
  if (isRoom(typed)) return typed;
  const named = URL.canParse(typed) ? new URL(typed).searchParams.get("room") : null;
  return named !== null && isRoom(named) ? named : null;
}

export function guestName(): string {
  const [quality, animal] = [pick(QUALITIES), pick(ANIMALS)];
  return [quality, animal].map((word) => word[0]?.toUpperCase() + word.slice(1)).join(" ");
}

/** Storage that may be missing, full or forbidden; the page works without. */
export const memory = {
  get(key: string): string | null {
    try {
      return localStorage.getItem(`collab.${key}`);
    } catch {
      return null;
    }
  },
  set(key: string, value: string | null): void {
    try {
      if (value === null) localStorage.removeItem(`collab.${key}`);
      else localStorage.setItem(`collab.${key}`, value);
    } catch {
      // The choice then lasts as long as the page.
    }
  },
};
