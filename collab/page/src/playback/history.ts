/** A room's history as the service sends it: one line of JSON for its head, one for each entry of the journal. */
import { shownToken } from "../token";
import { fieldsOf, nameFrom } from "../untrusted";

export interface Author {
  id: string;
  name: string;
  /** As the author said or the service chose; to be checked before it is used. Null if it is not known. */
  color: unknown;
  /** Whether the service found this author's edits by comparing whole texts. */
  compared: boolean;
}

export interface Entry {
  id: string;
  /** Milliseconds since 1970. */
  at: number;
  /** Null if there are several authors, or none is known. */
  author: Author | null;
  /** A Yjs update. */
  update: Uint8Array;
}

export interface Part {
  /** The document before the first entry; null if the entries follow the one that was asked for. */
  base: Uint8Array | null;
  entries: Entry[];
}

/** Why there is nothing to play, in words for people. */
export class NoHistory extends Error {
  /** `lasting`: asking again does not help. */
  constructor(
    message: string,
    readonly lasting: boolean,
  ) {
    super(message);
  }
}

const WAITING = "This page asks again by itself.";
/** The service closes a connection that takes nothing for 30 seconds; a network that is gone closes nothing. */
const SILENCE_MS = 30_000;

/**
 * Read a history: the entries after the one with the id `after`; all of them, if that is "".
 *
 * The updates come as they are in the journal, and this page replays them: then the service has next to
 * nothing to do for those who follow a room. Returns null if there is no such room. Throws NoHistory or Misshapen.
 */
export async function fetchHistory(room: string, after: string, progress: (done: number) => void): Promise<Part | null> {
  const address = new URL(`api/rooms/${room}/history?format=updates`, location.href);
  if (after !== "") address.searchParams.set("after", after);
  const silence = new Silence();
  try {
    const answer = await fetch(address, { headers: headers(), signal: silence.signal });
    if (answer.status === 404) return null;
    if (!answer.ok || answer.body === null) throw await refusal(answer);
    return await read(linesOf(answer.body, () => silence.broken()), progress);
  } catch (problem) {
    if (problem instanceof NoHistory || problem instanceof Misshapen) throw problem;
    throw new NoHistory(`The service can't be reached. ${WAITING}`, false);
  } finally {
    silence.end();
  }
}

function headers(): Record<string, string> {
  const { token } = shownToken();
  const accepted = { Accept: "application/x-ndjson, application/json" };
  return token === undefined ? accepted : { ...accepted, Authorization: `Bearer ${token}` };
}

async function refusal(answer: Response): Promise<NoHistory> {
  if (answer.status === 401 || answer.status === 403) {
    return new NoHistory("You may not read this history: open it by a link that lets you in.", true);
  }
  const told = fieldsOf(fieldsOf(await answer.json().catch(() => null))["error"]);
  if (told["code"] === "store_unavailable") {
    return new NoHistory(`The service can't reach its storage, so it can't read the history now. ${WAITING}`, false);
  }
  return new NoHistory(`The history can't be read now (${answer.status}). ${WAITING}`, false);
}

/** The answer has a line that is no part of a history. */
export class Misshapen extends Error {}

async function read(lines: AsyncGenerator<string>, progress: (done: number) => void): Promise<Part> {
  let part: Part | null = null;
  let expected = 0;
  for await (const text of lines) {
    const fields = fieldsOf(parsed(text));
    if (part === null) {
      const { base, after, entries } = fields;
      const isHead = Number.isSafeInteger(entries) && (typeof base === "string" || typeof after === "string");
      if (!isHead) throw new Misshapen("not a head");
      part = { base: typeof base === "string" ? bytesOf(base) : null, entries: [] };
      expected = Number(entries);
    } else {
      part.entries.push(entryFrom(fields));
      progress(part.entries.length / expected);
    }
  }
  if (part === null || part.entries.length < expected) {
    throw new NoHistory(`The history broke off on its way here. ${WAITING}`, false);
  }
  return part;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Misshapen("not JSON");
  }
}

function entryFrom({ id, at, author, update }: Readonly<Record<string, unknown>>): Entry {
  const time = typeof at === "string" ? Date.parse(at) : NaN;
  if (Number.isNaN(time) || typeof update !== "string") throw new Misshapen("not an entry");
  return { id: typeof id === "string" ? id : "", at: time, author: authorFrom(author), update: bytesOf(update) };
}

function authorFrom(said: unknown): Author | null {
  const { id, name, color, client } = fieldsOf(said);
  const author = { id: nameFrom(id), name: nameFrom(name), color, compared: client === "text" || client === "api" };
  return author.id || author.name ? author : null;
}

function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    throw new Misshapen("not base64");
  }
}

/** Ends a request that nothing has been heard of for too long. */
class Silence {
  readonly #ending = new AbortController();
  readonly signal = this.#ending.signal;
  #due: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.broken();
  }

  broken(): void {
    clearTimeout(this.#due);
    this.#due = setTimeout(() => this.#ending.abort(), SILENCE_MS);
  }

  end(): void {
    clearTimeout(this.#due);
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (let last = false; !last; ) {
    const { done, value } = await reader.read();
    heard();
    last = done;
    const lines = (rest + decoder.decode(value, { stream: !done })).split("\n");
    rest = done ? "" : (lines.pop() ?? "");
    yield* lines.filter((line) => line !== "");
  }
}
