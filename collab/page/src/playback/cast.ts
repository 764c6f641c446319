/** The people of a history: which authors are one person, and the color in which the others saw them. */
import { colorFor } from "../palette";
import { personFrom } from "../untrusted";
import type { Author } from "./history";

export interface Actor {
  /** With a number, if others had the same. */
  name: string;
  called: string;
  color: string;
  /** Whether the letters are credited by comparing whole texts. */
  compared: boolean;
}

/** What is known of an author: one id, which is one connection if the service asks for no tokens. */
interface Known {
  name: string;
  color: string;
  compared: boolean;
  /** The numbers of its first and its last edit. */
  first: number;
  last: number;
}

const SEVERAL = "Several people";
const NOBODY = "#66686e";
const HEX = /^#[0-9a-f]{3,8}$/i;

export class Cast {
  readonly #places = new Map<string, number>();
  readonly #authors: Known[] = [];
  #actors: Actor[] = [];
  #actorOf: number[] = [];
  #edits = 0;

  /**
   * `identified`: an id is a person's, whatever connection they have. Otherwise somebody who comes back has
   * a new id, and ids with one name and one color that never wrote at the same time are taken for one person.
   */
  constructor(private readonly identified: boolean) {}

  /** Everybody, in the order of their first edits. */
  get actors(): readonly Actor[] {
    return this.#actors;
  }

  /** Note the next edit's author, and return the author's number; `settle` gives them their actors. */
  credit(author: Author | null): number {
    const key = author === null ? "" : author.id || author.name;
    const number = this.#places.get(key) ?? this.#authors.length;
    this.#places.set(key, number);
    const known = this.#authors[number] ?? { name: SEVERAL, color: "", compared: false, first: this.#edits, last: 0 };
    this.#authors[number] = known;
    known.last = this.#edits;
    this.#edits += 1;
    if (author === null) return number;
    known.name = author.name || author.id;
    known.compared ||= author.compared;
    if (typeof author.color === "string" && HEX.test(author.color)) known.color = personFrom("", author.color).color;
    return number;
  }

  /** The number of an author's actor, in `actors`. */
  place(author: number): number {
    return this.#actorOf[author] as number;
  }

  actor(author: number): Actor | undefined {
    return this.#actors[this.#actorOf[author] ?? -1];
  }

  /** Find out who is one person. To be called after edits were credited. */
  settle(): void {
    const people: Known[] = [];
    this.#actorOf = this.#authors.map((author) => {
      const same = people.find((person) => this.#samePerson(person, author));
      if (same === undefined) return people.push({ ...author }) - 1;
      same.last = author.last;
      same.color ||= author.color;
      same.compared ||= author.compared;
      return people.indexOf(same);
    });
    const names = new Map<string, number>();
    const taken: string[] = people.map(({ color }) => color).filter(Boolean);
    this.#actors = people.map(({ name, color, compared }) => {
      const count = (names.get(name) ?? 0) + 1;
      names.set(name, count);
      const chosen = color || (name === SEVERAL ? NOBODY : colorFor(name, taken));
      if (!color) taken.push(chosen);
      return { name: count === 1 ? name : `${name} (${count})`, called: name, color: chosen, compared };
    });
  }

  #samePerson(person: Known, author: Known): boolean {
    if (this.identified || person.name !== author.name || person.last >= author.first) return false;
    return person.color === author.color || person.color === "" || author.color === "";
  }
}
