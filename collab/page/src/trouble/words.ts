/** What the banner says of each trouble: what happened, what it means, and which ways on there are. */

/** Troubles that pass by themselves. */
export type Passing = "opening" | "offline" | "unsaved";
/** Troubles that last until somebody does something. */
export type Lasting = "too-large" | "worn-out" | "ended" | "removed" | "refused" | "expired" | "uninvited";
export type Kind = Passing | Lasting;

/** What the banner knows besides the kind of the trouble. */
export interface Circumstances {
  /** Whether the service answers at all; undefined while that is not known. */
  reachable: boolean | undefined;
  /** We may look and not type. */
  viewer: boolean;
}

export interface Words {
  title: string;
  meaning: string;
}

const KEPT = "You can go on typing: it is kept in this page, and";

/** What people are told of refusals whose own sentences are for programmers, by code. */
const SENTENCES: Readonly<Record<string, string>> = {
  room_full: "This room is full.",
  rate_limited: "Too much was sent from here in a short time. This page tries again by itself.",
  node_full: "The service is full right now. This page tries again by itself.",
  busy: "The room is full, or the service is busy. This page tries again by itself.",
  auth_unavailable: "Your access cannot be checked right now. This page tries again by itself.",
  misunderstood: "This page and the service did not understand each other. This page connects again by itself.",
  token: "Your new access to this room was refused. Open the room again from the site that sent you here.",
};

/** The sentence of a refusal as it is shown. */
export function sentenceOf({ code = "", message }: { code?: string; message: string }): string {
  return Object.hasOwn(SENTENCES, code) ? (SENTENCES[code] as string) : message;
}

/** The codes of refusals that are troubles; all others are notices. */
export const KINDS: Readonly<Record<string, Lasting>> = {
  code_too_large: "too-large",
  frame_too_large: "too-large",
  room_closed: "ended",
  removed: "removed",
  not_allowed: "refused",
};

export const LASTING: Readonly<Record<Lasting, Words>> = {
  "too-large": {
    title: "The text is too long for this room.",
    meaning: "The others do not get your last change, which is only in this page. Shorten the text, and it is sent.",
  },
  "worn-out": {
    title: "This room cannot take more changes.",
    meaning: "The others do not get your last change, which is only in this page. Go on in a new room.",
  },
  ended: {
    title: "This room was ended.",
    meaning: "Nobody can type here any more. The text below is all that this page has of it, with what you typed.",
  },
  removed: {
    title: "You were removed from this room.",
    meaning: "You cannot type here any more. The text below is the last that you saw, with what you typed.",
  },
  refused: {
    title: "You cannot enter this room.",
    meaning: "Your link is for other rooms. Ask whoever invited you for a link to this one.",
  },
  expired: {
    title: "Your access to this room has ended.",
    meaning: "Open the room again from the site that sent you here. What you typed is in this page.",
  },
  uninvited: {
    title: "This room needs an invitation.",
    meaning: "Open it from the site that sent you here, or ask for a personal link.",
  },
};

export function wordsOf(kind: Kind, { reachable, viewer }: Circumstances): Words {
  switch (kind) {
    case "opening":
      return {
        title: "This room cannot be opened right now.",
        meaning:
          (reachable === undefined
            ? ""
            : reachable
              ? "The service answers, but cannot load rooms. "
              : "There is no connection to the service. ") + "The room opens by itself as soon as it can.",
      };
    case "offline":
      return {
        title: "No connection.",
        meaning: viewer
          ? "You see the text as it was. It goes on by itself when the connection is back."
          : `${KEPT} sent as soon as the connection is back. Keep this page open.`,
      };
    case "unsaved":
      return {
        title: "Changes are not being saved.",
        meaning: `The service cannot store them right now. ${KEPT} stored as soon as that works again. Keep this page open.`,
      };
    default:
      return LASTING[kind];
  }
}

/** "since 14:03", and how long that is from the first minute on. Both in milliseconds since 1970. */
export function sinceWords(began: number, now: number): string {
  const at = new Date(began).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  const minutes = Math.floor((now - began) / 60_000);
  if (minutes < 1) return `since ${at}`;
  const hours = Math.floor(minutes / 60);
  const long = hours === 0 ? `${minutes} min` : `${hours} h ${minutes % 60} min`;
  return `for ${long}, since ${at}`;
}
