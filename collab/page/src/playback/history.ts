/** A room's history as the service tells it: one line of JSON for what was there, one for each edit. */

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

interface Line {
  base?: string;
  entries?: number;
  at?: string;
  author?: Author | null;
  delta?: Op[];
}

export async function fetchHistory(room: string, progress: (done: number) => void): Promise<History> {
  const address = new URL(`api/rooms/${room}/history?format=deltas`, location.href);
  let answer: Response;
  try {
    answer = await fetch(address, { headers: { Accept: "application/x-ndjson, application/json" } });
  } catch {
    throw new NoHistory("The service can't be reached. Try again when the network is back.");
  }
  if (answer.status === 404) return { base: "", edits: [] };
  if (!answer.ok || answer.body === null) {
    throw new NoHistory(`The history can't be read now (${answer.status}). Try again in a moment.`);
  }
  const history: History = { base: "", edits: [] };
  let expected: number | undefined;
  for await (const text of linesOf(answer.body)) {
    const line = JSON.parse(text) as Line;
    if (line.base !== undefined) {
      history.base = line.base;
      expected = line.entries;
    } else {
      history.edits.push({ at: Date.parse(line.at ?? ""), author: line.author ?? null, delta: line.delta ?? [] });
      if (expected) progress(history.edits.length / expected);
    }
  }
  if (expected !== undefined && history.edits.length < expected) {
    throw new NoHistory("The history broke off on its way here. Load the page again.");
  }
  return history;
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
