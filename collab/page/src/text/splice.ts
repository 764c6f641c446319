/** The way from one whole text to another. Nothing here knows an editor or a network. */
import { diff } from "@codemirror/merge";

/** One replacement, in UTF-16 offsets of the text before. */
export interface Splice {
  from: number;
  to: number;
  insert: string;
}

/**
 * How hard to look for the smallest edit. Both only bound the time spent on texts that have little in
 * common; the result always leads exactly to the new text.
 */
const EFFORT = { scanLimit: 500, timeout: 25 };

/**
 * The replacements that turn `before` into `after`.
 *
 * More than one where that is smaller: a whole text that crossed our own typing differs from the screen
 * where somebody else wrote and where we did. One replacement across both would swallow the caret.
 */
export function splices(before: string, after: string): Splice[] {
  return diff(before, after, EFFORT).map((change) => ({
    from: change.fromA,
    to: change.toA,
    insert: after.slice(change.fromB, change.toB),
  }));
}

/**
 * Keeps the caret behind the letters just typed while whole texts overtake them.
 *
 * A text that left the server before our last letters reached it takes them off the screen; the merged
 * text brings them back a moment later. To the editor the second step is somebody else's insertion at
 * the caret, which it would put behind the caret, and the next letter typed would land in front.
 */
export class Caret {
  #at = 0;
  #missing = "";

  /** Our own edit moved the place where letters are missing. */
  follow(moved: (position: number) => number): void {
    this.#at = moved(this.#at);
  }

  /**
   * Where the caret at `head` belongs once `edits` have turned `before` into the received text, or
   * null to leave that to the editor. `unsaved`: some of our typing is not acknowledged yet.
   */
  place(edits: Splice[], before: string, head: number, unsaved: boolean): number | null {
    let shift = 0;
    let caret: number | null = null;
    let missing = { at: this.#at, text: this.#missing };
    for (const { from, to, insert } of edits) {
      const touchesCaret = from <= head && head <= to;
      const wasMissing = this.#missing !== "" && this.#at === from;
      const removed = unsaved && touchesCaret ? before.slice(from, head) : "";
      const expected = (wasMissing ? this.#missing : "") + removed;
      if (expected !== "") {
        const back = commonPrefix(insert, expected);
        if (back > 0 && touchesCaret) caret = from + shift + back;
        missing = { at: from + shift + back, text: expected.slice(back) };
      }
      shift += insert.length - (to - from);
      if (expected === "" && to <= this.#at) missing.at = this.#at + shift;
    }
    this.#at = missing.at;
    // With everything acknowledged this text has all of ours; what it lacks, somebody deleted.
    this.#missing = unsaved ? missing.text : "";
    return caret;
  }
}

function commonPrefix(one: string, other: string): number {
  const end = Math.min(one.length, other.length);
  let length = 0;
  while (length < end && one[length] === other[length]) length += 1;
  return length;
}
