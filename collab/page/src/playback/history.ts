/** A room's history as the service tells it: one line of JSON for what was there, one for each edit. */
import { shownToken } from "../token";
import { fieldsOf, nameFrom } from "../untrusted";

/** In UTF-16 units, as strings are counted here. */
export type Op = { retain: number } | { insert: string } | { delete: number };

export interface Author {
  id: string;
  name: string;
}

export interface Edit {
  /** Milliseconds since 1970. */
  at: number;
  /** Null where more than one, or nobody known, is the author. */
  author: Author | null;
  delta: Op[];
}

export interface History {
  base: string;
  edits: Edit[];
}

/** Why there is nothing to play, in words for people. */
export class NoHistory extends Error {}

export async function fetchHistory(room: string, progress: (done: number) => void): Promise<History> {
  const address = new URL(`api/rooms/${room}/history?format=deltas`, location.href);
  let answer: Response;
  try {
    const { token } = shownToken();
    const headers = { Accept: "application/x-ndjson, application/json" };
    answer = await fetch(address, {
      headers: token === undefined ? headers : { ...headers, Authorization: `Bearer ${token}` },
    });
  } catch {
    throw new NoHistory("The service can't be reached. Try again when the network is back.");
  }
  if (answer.status === 404) return { base: "", edits: [] };
  if (answer.status === 401 || answer.status === 403) {
    throw new NoHistory("You may not read this history: open it by a link that lets you in.");
  }
  if (!answer.ok || answer.body === null) {
    throw new NoHistory(`The history can't be read now (${answer.status}). Try again in a moment.`);
  }
  const history: History = { base: "", edits: [] };
  let expected = 0;
  for await (const text of linesOf(answer.body)) {
    const line: unknown = JSON.parse(text);
    const { base, entries } = fieldsOf(line);
    if (typeof base === "string") {
      history.base = base;
      expected = Number(entries);
    } else {
      history.edits.push(editFrom(line));
      if (expected > 0) progress(history.edits.length / expected);
    }
  }
  if (history.edits.length < expected) {
    throw new NoHistory("The history broke off on its way here. Load the page again.");
  }
  return history;
}

/** Throws a TypeError where a line is no edit. */
function editFrom(line: unknown): Edit {
  const { at, author, delta } = fieldsOf(line);
  const time = typeof at === "string" ? Date.parse(at) : NaN;
  if (Number.isNaN(time) || !Array.isArray(delta) || !delta.every(isOp)) throw new TypeError("not an edit");
  return { at: time, author: authorFrom(author), delta };
}

function authorFrom(said: unknown): Author | null {
  const { id, name } = fieldsOf(said);
  const author = { id: nameFrom(id), name: nameFrom(name) };
  return author.id || author.name ? author : null;
}

function isOp(said: unknown): said is Op {
  const [[kind, value] = [], ...more] = Object.entries(fieldsOf(said));
  if (more.length > 0) return false;
  if (kind === "insert") return typeof value === "string";
  return (kind === "retain" || kind === "delete") && Number.isSafeInteger(value) && (value as number) >= 0;
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (let last = false; !last; ) {
    const { done, value } = await reader.read();
    last = done;
    const lines = (rest + decoder.decode(value, { stream: !done })).split("\n");
    rest = done ? "" : (lines.pop() ?? "");
    yield* lines.filter((line) => line !== "");
  }
}
