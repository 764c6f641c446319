/** Who is here, by way of awareness: what we say of ourselves, and what the others say of themselves. */
import type { Awareness } from "y-protocols/awareness";
import { alike, colourFor } from "../palette";
import type { Member } from "../presence";
import { fieldsOf, type Person, personFrom } from "../untrusted";

/** The person of an awareness state. */
export function personOf(state: unknown): Person {
  const user = fieldsOf(fieldsOf(state)["user"]);
  return personFrom(user["name"], user["color"]);
}

/** Ourselves among the others. */
export class People {
  readonly #awareness: Awareness;
  #name: string;
  #colour: string;

  constructor(awareness: Awareness, name: string) {
    this.#awareness = awareness;
    this.#name = name;
    this.#colour = colourFor(name);
    this.#introduce();
    awareness.on("change", () => this.#yield());
  }

  /** Everybody with a state, ourselves too. */
  get members(): Member[] {
    return [...this.#awareness.getStates()].map(([client, state]) => ({ id: String(client), ...personOf(state) }));
  }

  rename(name: string): void {
    this.#name = name;
    this.#colour = colourFor(name, this.#coloursOf(() => true));
    this.#introduce();
  }

  #introduce(): void {
    const user = { name: this.#name, color: this.#colour, colorLight: `${this.#colour}33` };
    this.#awareness.setLocalState({ ...this.#awareness.getLocalState(), user });
  }

  /** Takes another colour, if ours is that of somebody with a lower id. */
  #yield(): void {
    const taken = this.#coloursOf((client) => client < this.#awareness.clientID);
    const clashes = (colour: string) => taken.some((other) => alike(colour, other));
    if (!clashes(this.#colour)) return;
    const better = colourFor(this.#name, taken);
    // In a full room all are alike; one that is at least not the same will do.
    if (clashes(better) && (taken.includes(better) || !taken.includes(this.#colour))) return;
    this.#colour = better;
    this.#introduce();
  }

  #coloursOf(wanted: (client: number) => boolean): string[] {
    return [...this.#awareness.getStates()]
      .filter(([client]) => client !== this.#awareness.clientID && wanted(client))
      .map(([, state]) => personOf(state).colour);
  }
}
