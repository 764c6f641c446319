/** Who typed, in which color, and how many letters of the text are theirs. */
import { find } from "../frame";
import { paint } from "../palette";
import { portrait } from "../presence";
import type { Actor, Cast } from "./cast";
import type { Run } from "./film";

const COMPARED = "sends whole texts: the letters are credited by difference";
/** So many are named in the note. */
const NAMED = 3;

export class Legend {
  readonly #list = find("#cast");
  readonly #note = find("#credited");
  #shares: HTMLElement[] = [];
  #drawn = "";

  constructor() {
    // It scrolls where it is longer than its line, which the arrow keys can do once it has the focus.
    this.#list.tabIndex = 0;
  }

  list(actors: readonly Actor[]): void {
    const drawn = JSON.stringify(actors);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#shares = actors.map(() => document.createElement("span"));
    this.#list.replaceChildren(...actors.map((actor, place) => row(actor, this.#shares[place] as HTMLElement)));
    const names = actors.filter(({ compared }) => compared).map(({ name }) => name);
    this.#note.hidden = names.length === 0;
    const others = names.length - NAMED;
    const named = names.slice(0, NAMED).join(", ") + (others > 0 ? ` and ${others} more` : "");
    this.#note.textContent = `${named}: letters of plain clients, which send whole texts, are credited by difference.`;
  }

  /** Show how many letters of a text are whose. */
  share(runs: Run[], cast: Cast): void {
    const letters = this.#shares.map(() => 0);
    for (const { by, length } of runs) {
      if (by >= 0) letters[cast.place(by)] = (letters[cast.place(by)] ?? 0) + length;
    }
    this.#shares.forEach((share, place) => {
      share.textContent = (letters[place] ?? 0).toLocaleString();
    });
  }
}

function row({ name, called, color, compared }: Actor, share: HTMLElement): HTMLElement {
  const item = document.createElement("li");
  item.dataset["author"] = name;
  item.title = compared ? `${name} ${COMPARED}` : name;
  paint(item, color);
  share.className = "share";
  share.title = "letters of the text at this moment";
  const [mark, label] = portrait(called) as [HTMLElement, HTMLElement];
  label.textContent = name;
  item.append(mark, label, share);
  return item;
}
