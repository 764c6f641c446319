/** A room's history in memory: what was read, replayed, and who is who. It grows as the room does. */
import { shownToken } from "../token";
import { Cast } from "./cast";
import { type Edit, Film } from "./film";
import type { Entry, Part } from "./history";
import { Replay } from "./replay";

/** What a page may do at a stretch before it should look after its user. */
const SLICE_MS = 40;

export class Story {
  readonly film: Film;
  readonly cast: Cast;
  readonly #replay: Replay;
  /** The id of the last entry, "" if there is none. */
  last = "";

  private constructor(base: Uint8Array) {
    this.#replay = new Replay(base);
    this.film = new Film(this.#replay.text);
    // Where tokens are asked for, an author's id is the subject of the token.
    this.cast = new Cast(shownToken().token !== undefined);
  }

  /** Make the story of a whole history; null is that of a room that does not exist. */
  static async of(part: Part | null, progress: (done: number) => void): Promise<Story> {
    const story = new Story(part?.base ?? new Uint8Array());
    await story.add(part?.entries ?? [], progress);
    return story;
  }

  /** The text at the end. */
  get text(): string {
    return this.#replay.text;
  }

  /** Append what happened next. */
  async add(entries: Entry[], progress: (done: number) => void = () => undefined): Promise<void> {
    const edits: Edit[] = [];
    let since = performance.now();
    for (const entry of entries) {
      edits.push(this.#editOf(entry));
      if (performance.now() - since < SLICE_MS) continue;
      progress(edits.length / entries.length / 2);
      await new Promise((resolve) => setTimeout(resolve));
      since = performance.now();
    }
    this.last = entries[entries.length - 1]?.id ?? this.last;
    this.cast.settle();
    this.film.add(edits);
    await this.film.prepare((done) => progress((1 + done) / 2));
  }

  /** Whether a part says the same as this story, as long as nobody has edited. */
  isStill({ base, entries }: Part): boolean {
    if (base === null || entries.length > 0 || this.last !== "") return false;
    return new Replay(base).text === this.text;
  }

  #editOf({ id, at, author, update }: Entry): Edit {
    const delta = this.#replay.apply(update);
    const changes = delta.some((op) => !("retain" in op));
    return { id, at, by: changes ? this.cast.credit(author) : -1, delta };
  }
}
