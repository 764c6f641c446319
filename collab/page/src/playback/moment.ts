/** Moments of a history in the address of this page: `at` is the id of an entry, a time, or `start`. */
import { linkTo } from "../room";
import type { Film } from "./film";

const AT = "at";
const START = "start";
const ENTRY = /^(\d{1,16})-\d{1,20}$/;
/** With a date: `2026-01-01T12:00:00Z`. Without this, Date.parse takes many other texts for years. */
const TIME = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$/;

export interface Place {
  /** How many edits are done. */
  count: number;
  /** Why it is not exactly the moment that was asked for; "" if it is. */
  problem: string;
}

/** The moment that the address names, null if none. */
export function momentOfAddress(): string | null {
  return new URLSearchParams(location.search).get(AT);
}

/** The address of playback at a moment; without one, of playback at the end, as the room changes. It has no token. */
export function linkToMoment(room: string, film: Film, count: number | null): string {
  const link = linkTo(room, "playback");
  if (count === null) return link;
  return `${link}&${AT}=${film.edit(count)?.id || START}`;
}

/** Find the moment that an address names, or the nearest. */
export function locate(film: Film, at: string, words: Intl.DateTimeFormat): Place {
  if (at === START) return { count: 0, problem: "" };
  const known = film.countOf(at);
  if (known !== undefined) return { count: known, problem: "" };
  const entry = ENTRY.exec(at);
  const time = entry ? Number(entry[1]) : timeIn(at);
  if (Number.isNaN(time)) {
    return { count: film.count, problem: "The link names no moment that can be understood. You see the text as it is now." };
  }
  const begin = film.timeOf(1);
  if (begin === null) return { count: 0, problem: "The moment of this link is not in the history, which has no edits." };
  if (time < begin) {
    const since = `The moment of this link is not in the history, which begins at ${words.format(begin)}.`;
    return { count: 0, problem: `${since} You see its beginning.` };
  }
  const problem = entry ? "The edit of this link is not in the history. You see the text as it was at that time." : "";
  return { count: film.countAtTime(time), problem };
}

/** Milliseconds since 1970, or NaN. */
function timeIn(at: string): number {
  if (/^\d{12,15}$/.test(at)) return Number(at);
  return TIME.test(at) ? Date.parse(at) : NaN;
}
