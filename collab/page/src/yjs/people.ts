/** Who is here, by way of awareness: what we say of ourselves, and what the others say of themselves. */
import type { Awareness } from "y-protocols/awareness";
import { alike, colorFor } from "../palette";
import type { Member } from "../presence";
import { fieldsOf, type Person, personFrom } from "../untrusted";

/** While somebody arrives their color may change; the nodes tell each other who is here in less. */
const ARRIVAL_MS = 2000;

/** The person of an awareness state. */
export function personOf(state: unknown): Person {
  const user = fieldsOf(fieldsOf(state)["user"]);
  return personFrom(user["name"], user["color"]);
}

/** The ends of the selection of an awareness state, which others may have made up; null if it has none. */
export function placeOf(state: unknown): { anchor: unknown; head: unknown } | null {
  const { anchor, head } = fieldsOf(fieldsOf(state)["cursor"]);
  const inText = (end: unknown) => fieldsOf(end)["tname"] === "code";
  return inText(anchor) && inText(head) ? { anchor, head } : null;
}

/**
 * Ourselves among the others. Whoever was here before keeps their color, and a newcomer takes one that is
 * not taken. Who came first can't be read off a list of states, so a newcomer's has `arriving`, the time at
 * which it came, for as long as it looks about; of several who arrive together the first keeps theirs.
 */
export class People {
  readonly #awareness: Awareness;
  #name: string;
  #color: string;
  /** Null once we have settled. */
  #arriving: number | null = Date.now();
  #settling: ReturnType<typeof setTimeout> | undefined;

  constructor(awareness: Awareness, name: string) {
    this.#awareness = awareness;
    this.#name = name;
    this.#color = colorFor(name);
    this.#introduce();
    awareness.on("change", () => this.#yield());
  }

  /** Everybody with a state, ourselves too. */
  get members(): Member[] {
    return [...this.#awareness.getStates()].map(([client, state]) => ({
      id: String(client),
      ...personOf(state),
      caret: placeOf(state) !== null,
    }));
  }

  rename(name: string): void {
    this.#name = name;
    this.#color = colorFor(name, this.#colorsOf(() => true));
    this.#introduce();
  }

  /** We are in the room, and hear who else is. */
  arrived(): void {
    this.#settling ??= setTimeout(() => {
      this.#arriving = null;
      this.#introduce();
    }, ARRIVAL_MS);
  }

  /** We are out of the room, and come back as somebody new: our color may be another's by then. */
  left(): void {
    this.close();
    this.#settling = undefined;
    this.#arriving = Date.now();
    this.#introduce();
  }

  close(): void {
    clearTimeout(this.#settling);
  }

  #introduce(): void {
    const user = { name: this.#name, color: this.#color, colorLight: `${this.#color}33` };
    this.#awareness.setLocalState({ ...this.#awareness.getLocalState(), user, arriving: this.#arriving });
  }

  /** Takes another color, if ours is that of somebody who was here before. */
  #yield(): void {
    if (this.#arriving === null) return;
    const taken = this.#colorsOf((client, state) => this.#wasBefore(client, state));
    const clashes = (color: string) => taken.some((other) => alike(color, other));
    if (!clashes(this.#color)) return;
    const better = colorFor(this.#name, taken);
    // In a full room all are alike; one that is at least not the same will do.
    if (clashes(better) && (taken.includes(better) || !taken.includes(this.#color))) return;
    this.#color = better;
    this.#introduce();
  }

  #wasBefore(client: number, state: unknown): boolean {
    const { arriving } = fieldsOf(state);
    if (typeof arriving !== "number" || this.#arriving === null) return true;
    return arriving < this.#arriving || (arriving === this.#arriving && client < this.#awareness.clientID);
  }

  #colorsOf(wanted: (client: number, state: unknown) => boolean): string[] {
    return [...this.#awareness.getStates()]
      .filter(([client, state]) => client !== this.#awareness.clientID && wanted(client, state))
      .map(([, state]) => personOf(state).color);
  }
}
