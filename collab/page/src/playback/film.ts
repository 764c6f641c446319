/**
 * A history as something that can be shown from any moment on: who wrote which letter after each edit, and
 * how long it takes to play. Nothing here knows an editor or a screen.
 */
import type { Op } from "./replay";

/** An edit of the text; `by` is the number of its author. */
export interface Edit {
  id: string;
  /** Milliseconds since 1970. */
  at: number;
  by: number;
  delta: Op[];
}

/** Somebody's letters in a row; `by` is the number of an author, or -1 for what was there before. */
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

/** With pauses skipped, a longer pause than this plays as if it were this long. */
export const PAUSE_MS = 1500;
/** A look at what was there, before it begins and after it ends. */
const LEAD_MS = 500;
/** So many edits lie between two frames that are kept, at first: any other frame is at most so many edits away. */
const KEPT_EVERY = 64;
/** Letters in all kept frames together. If there are more, every second frame is dropped. */
const KEPT_LETTERS = 32 * 1024 * 1024;
/** What a page may do at a stretch before it should look after its user. */
const SLICE_MS = 40;

export class Film {
  /** When each edit comes in the film, and whether a longer pause went before. */
  cues: number[] = [];
  cuts: boolean[] = [];
  #length = 0;
  #skipping = true;
  readonly #edits: Edit[] = [];
  /** How many edits are done once the entry with an id is. */
  readonly #counts = new Map<string, number>();
  #every = KEPT_EVERY;
  #frames: Frame[];
  #letters = 0;
  /** The frame that was asked for last: playing asks for the next one. */
  #shown: { count: number; frame: Frame };

  constructor(base: string) {
    this.#frames = [{ text: base, runs: base === "" ? [] : [{ by: -1, length: base.length }], at: null }];
    this.#shown = { count: 0, frame: this.#frames[0] as Frame };
  }

  /** Append what happened next. Entries that did nothing to the text are not shown. */
  add(edits: Edit[]): void {
    for (const edit of edits) {
      if (edit.delta.some((op) => !("retain" in op))) this.#edits.push(edit);
      this.#counts.set(edit.id, this.#edits.length);
    }
    this.#schedule(this.cues.length);
  }

  /** Whether pauses play shorter than they were. */
  set skipping(skipping: boolean) {
    this.#skipping = skipping;
    this.#schedule(0);
  }

  /** How many edits there are. */
  get count(): number {
    return this.#edits.length;
  }

  /** Milliseconds that it takes to play. */
  get length(): number {
    return this.#length;
  }

  /** The last edit of the first `count`. */
  edit(count: number): Edit | undefined {
    return this.#edits[count - 1];
  }

  /** When the edit with that number, counted from one, was made; of none, when the first was. */
  timeOf(count: number): number | null {
    return this.#edits[Math.max(0, count - 1)]?.at ?? null;
  }

  /** How many edits are done at a moment of the film. */
  countAt(moment: number): number {
    return countUntil(this.cues.length, (index) => (this.cues[index] as number) <= moment);
  }

  /** How many edits were done at a time. */
  countAtTime(time: number): number {
    return countUntil(this.count, (index) => (this.#edits[index] as Edit).at <= time);
  }

  /** How many edits are done once the entry with that id is; undefined if it is not in the history. */
  countOf(id: string): number | undefined {
    return this.#counts.get(id);
  }

  /** The moment at which so many edits are done. */
  momentOf(count: number): number {
    if (count <= 0) return 0;
    return count > this.count ? this.length : (this.cues[count - 1] as number);
  }

  /** The text once so many edits are done. */
  frame(count: number): Frame {
    while (this.#frames.length * this.#every <= count) this.#keepNext();
    const wanted = Math.floor(count / this.#every);
    const near = this.#shown.count <= count && this.#shown.count >= wanted * this.#every;
    const from = near ? this.#shown : { count: wanted * this.#every, frame: this.#frames[wanted] as Frame };
    this.#shown = { count, frame: this.#play(from.frame, from.count, count) };
    return this.#shown.frame;
  }

  /** Compute all frames that are kept, with breaks: a long history must not freeze the page. */
  async prepare(progress: (done: number) => void): Promise<void> {
    let since = performance.now();
    while (this.#frames.length * this.#every <= this.count) {
      this.#keepNext();
      if (performance.now() - since < SLICE_MS) continue;
      progress((this.#frames.length * this.#every) / this.count);
      await new Promise((resolve) => setTimeout(resolve));
      since = performance.now();
    }
  }

  #keepNext(): void {
    const next = this.#frames.length;
    const frame = this.#play(this.#frames[next - 1] as Frame, (next - 1) * this.#every, next * this.#every);
    this.#frames.push(frame);
    this.#letters += frame.text.length;
    if (this.#letters <= KEPT_LETTERS) return;
    this.#frames = this.#frames.filter((_, index) => index % 2 === 0);
    this.#every *= 2;
    this.#letters = this.#frames.reduce((sum, { text }) => sum + text.length, 0);
  }

  #schedule(from: number): void {
    const edits = this.#edits;
    this.cues.length = this.cuts.length = from;
    for (let index = from; index < edits.length; index += 1) {
      const pause = index === 0 ? 0 : Math.max(0, (edits[index] as Edit).at - (edits[index - 1] as Edit).at);
      const before = index === 0 ? LEAD_MS : (this.cues[index - 1] as number);
      this.cues.push(before + (this.#skipping ? Math.min(pause, PAUSE_MS) : pause));
      this.cuts.push(this.#skipping && pause > PAUSE_MS);
    }
    const end = this.cues[this.cues.length - 1];
    this.#length = end === undefined ? 0 : end + LEAD_MS;
  }

  #play(frame: Frame, from: number, to: number): Frame {
    if (from === to) return frame;
    const draft = new Draft(frame);
    for (let index = from; index < to; index += 1) draft.apply(this.#edits[index] as Edit);
    return draft.finish();
  }
}

/** How many of the first numbers below `count` fulfil a condition that none after them does. */
function countUntil(count: number, fulfils: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fulfils(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Letters from `from` to `to` of a text, which `by` typed; of the frame's own letters, its runs tell who. */
interface Piece {
  source: string;
  from: number;
  to: number;
  by: number | null;
}

/**
 * A frame that is being edited: pieces of its text, and what was inserted between them. An edit then costs
 * as much as the edits since the frame, however long the text is.
 */
class Draft {
  readonly #frame: Frame;
  #pieces: Piece[];
  #at: number | null;

  constructor(frame: Frame) {
    this.#frame = frame;
    this.#pieces = [{ source: frame.text, from: 0, to: frame.text.length, by: null }];
    this.#at = frame.at;
  }

  apply({ delta, by }: Edit): void {
    const pieces: Piece[] = [];
    const before = new Cursor(this.#pieces);
    let written = 0;
    for (const op of delta) {
      if ("retain" in op) {
        before.take(op.retain, pieces);
        written += op.retain;
        continue;
      }
      if ("insert" in op) {
        pieces.push({ source: op.insert, from: 0, to: op.insert.length, by });
        written += op.insert.length;
      } else before.take(op.delete, null);
      this.#at = written;
    }
    before.take(Infinity, pieces);
    this.#pieces = pieces;
  }

  finish(): Frame {
    const runs: Run[] = [];
    const own = new RunCursor(this.#frame.runs);
    for (const { from, to, by } of this.#pieces) {
      if (by === null) own.take(from, to, runs);
      else add(runs, by, to - from);
    }
    return { text: this.#pieces.map(({ source, from, to }) => source.slice(from, to)).join(""), runs, at: this.#at };
  }
}

/** Goes through pieces from front to back, in steps of any length. */
class Cursor {
  #index = 0;
  #used = 0;

  constructor(private readonly pieces: readonly Piece[]) {}

  /** Pass over that many letters; `into` gets their pieces. */
  take(count: number, into: Piece[] | null): void {
    for (let left = count; left > 0; ) {
      const piece = this.pieces[this.#index];
      if (piece === undefined) return;
      const from = piece.from + this.#used;
      const to = Math.min(piece.to, from + left);
      const whole = from === piece.from && to === piece.to;
      if (to > from) into?.push(whole ? piece : { ...piece, from, to });
      left -= to - from;
      this.#used += to - from;
      if (to < piece.to) return;
      this.#index += 1;
      this.#used = 0;
    }
  }
}

/** Goes through the runs of a text from front to back. */
class RunCursor {
  #index = 0;
  /** Where the run at `index` begins. */
  #start = 0;

  constructor(private readonly runs: readonly Run[]) {}

  /** Add the runs of the letters from `from` to `to`, which are behind those that were asked for before. */
  take(from: number, to: number, into: Run[]): void {
    for (let run = this.runs[this.#index]; run !== undefined && this.#start < to; run = this.runs[this.#index]) {
      const end = this.#start + run.length;
      add(into, run.by, Math.min(to, end) - Math.max(from, this.#start));
      if (end > to) return;
      this.#start = end;
      this.#index += 1;
    }
  }
}

function add(runs: Run[], by: number, length: number): void {
  if (length <= 0) return;
  const last = runs[runs.length - 1];
  if (last?.by === by) last.length += length;
  else runs.push({ by, length });
}
