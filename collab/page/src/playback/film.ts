/**
 * A history as something that can be shown from any moment on: who wrote which letter after each edit, and
 * how long it takes to tell. Nothing here knows an editor or a screen.
 */
import type { Edit, History } from "./history";

/** Somebody's letters in a row; `by` is a place in the cast, or -1 for what was there before. */
export interface Run {
  by: number;
  length: number;
}

/** The text after some edits. */
export interface Frame {
  text: string;
  runs: Run[];
  /** Where the last edit ended, if there was any. */
  at: number | null;
}

/** One who typed. Those whom the journal does not tell apart go under one name. */
export interface Role {
  key: string;
  name: string;
  letters: number;
}

/** A pause longer than this is told as if it were this long. */
export const PAUSE_MS = 1500;
/** A look at what was there, before it begins and after it ends. */
const LEAD_MS = 500;
/** So many edits lie between two frames that are kept: any other is that many edits away at most. */
const KEPT = 64;
/** What a page may do at a stretch before it should look after its user. */
const SLICE_MS = 40;

export class Film {
  readonly cast: Role[] = [];
  /** For each edit: who made it, when it comes in the film, and whether a longer pause went before. */
  readonly by: number[] = [];
  readonly cues: number[] = [];
  readonly cuts: boolean[] = [];
  readonly length: number;
  readonly #edits: Edit[];
  readonly #frames: Frame[];
  /** The frame that was asked for last: playing asks for the next one. */
  #shown: { count: number; frame: Frame };

  constructor({ base, edits }: History) {
    this.#edits = edits.filter(({ delta }) => delta.some((op) => !("retain" in op)));
    const places = new Map<string, number>();
    let cue = LEAD_MS;
    this.#edits.forEach((edit, index) => {
      const { author } = edit;
      const key = author === null ? "" : author.name || author.id;
      const place = places.get(key) ?? this.cast.length;
      if (place === this.cast.length) this.cast.push({ key, name: author === null ? "Several people" : key, letters: 0 });
      places.set(key, place);
      (this.cast[place] as Role).letters += lettersOf(edit);
      const pause = index === 0 ? 0 : Math.max(0, edit.at - (this.#edits[index - 1] as Edit).at);
      cue += Math.min(pause, PAUSE_MS);
      this.by.push(place);
      this.cues.push(cue);
      this.cuts.push(pause > PAUSE_MS);
    });
    this.length = this.#edits.length === 0 ? 0 : cue + LEAD_MS;
    this.#frames = [{ text: base, runs: base === "" ? [] : [{ by: -1, length: base.length }], at: null }];
    this.#shown = { count: 0, frame: this.#frames[0] as Frame };
  }

  /** How many edits there are. */
  get count(): number {
    return this.#edits.length;
  }

  /** When the edit with that number, counted from one, was made; of none, when the first was. */
  timeOf(count: number): number | null {
    return this.#edits[Math.max(0, count - 1)]?.at ?? null;
  }

  /** How many edits are done at a moment of the film. */
  countAt(moment: number): number {
    let [low, high] = [0, this.cues.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.cues[middle] as number) <= moment) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The moment at which so many edits are done. */
  momentOf(count: number): number {
    if (count <= 0) return 0;
    return count > this.count ? this.length : (this.cues[count - 1] as number);
  }

  /** The text once so many edits are done. */
  frame(count: number): Frame {
    const wanted = Math.floor(count / KEPT);
    while (this.#frames.length <= wanted) {
      const kept = this.#frames.length;
      this.#frames.push(this.#play(this.#frames[kept - 1] as Frame, (kept - 1) * KEPT, kept * KEPT));
    }
    const near = this.#shown.count <= count && this.#shown.count >= wanted * KEPT;
    const from = near ? this.#shown : { count: wanted * KEPT, frame: this.#frames[wanted] as Frame };
    this.#shown = { count, frame: this.#play(from.frame, from.count, count) };
    return this.#shown.frame;
  }

  /** Works out all of it, with pauses: a long history must not freeze the page. */
  async prepare(progress: (done: number) => void): Promise<void> {
    let since = performance.now();
    for (let count = KEPT; count <= this.count; count += KEPT) {
      this.frame(count);
      if (performance.now() - since < SLICE_MS) continue;
      progress(count / this.count);
      await new Promise((resolve) => setTimeout(resolve));
      since = performance.now();
    }
  }

  #play(frame: Frame, from: number, to: number): Frame {
    let played = frame;
    for (let index = from; index < to; index += 1) {
      played = applied(played, this.#edits[index] as Edit, this.by[index] as number);
    }
    return played;
  }
}

function lettersOf({ delta }: Edit): number {
  return delta.reduce((sum, op) => sum + ("insert" in op ? op.insert.length : 0), 0);
}

function applied(frame: Frame, edit: Edit, by: number): Frame {
  const pieces: string[] = [];
  const runs: Run[] = [];
  const before = new Cursor(frame.runs);
  let [read, written] = [0, 0];
  let at = frame.at;
  for (const op of edit.delta) {
    if ("retain" in op) {
      pieces.push(frame.text.slice(read, read + op.retain));
      before.take(op.retain, runs);
      read += op.retain;
      written += op.retain;
    } else if ("insert" in op) {
      pieces.push(op.insert);
      add(runs, { by, length: op.insert.length });
      written += op.insert.length;
      at = written;
    } else {
      before.take(op.delete, null);
      read += op.delete;
      at = written;
    }
  }
  pieces.push(frame.text.slice(read));
  before.take(Infinity, runs);
  return { text: pieces.join(""), runs, at };
}

/** Goes through runs from front to back, in steps of any length. */
class Cursor {
  #index = 0;
  #used = 0;

  constructor(private readonly runs: readonly Run[]) {}

  /** Passes over that many letters; `into` gets their runs. */
  take(count: number, into: Run[] | null): void {
    for (let left = count; left > 0; ) {
      const run = this.runs[this.#index];
      if (run === undefined) return;
      const length = Math.min(left, run.length - this.#used);
      if (into) add(into, { by: run.by, length });
      left -= length;
      this.#used += length;
      if (this.#used === run.length) {
        this.#index += 1;
        this.#used = 0;
      }
    }
  }
}

function add(runs: Run[], run: Run): void {
  const last = runs[runs.length - 1];
  if (run.length === 0) return;
  if (last?.by === run.by) last.length += run.length;
  else runs.push({ ...run });
}
