/** Those whose carets are out of sight, at the edge of the text that is nearer to them. */
import type { EditorView } from "@codemirror/view";
import { type Caret, caretsIn } from "../carets";
import { paint } from "../palette";

/** At each edge; more would hide the text. */
const MOST = 3;

type Side = "above" | "below";

interface Sight {
  above: Caret[];
  below: Caret[];
  /** From the lower edge of the desk to that of the text, in pixels: a panel may be between them. */
  foot: number;
}

export class Edges {
  readonly #lists: Record<Side, HTMLElement>;
  readonly #goTo: (id: string) => void;
  readonly #showEveryone: () => void;
  #drawn = "";

  constructor(desk: HTMLElement, goTo: (id: string) => void, showEveryone: () => void) {
    this.#goTo = goTo;
    this.#showEveryone = showEveryone;
    this.#lists = { above: listIn(desk, "above"), below: listIn(desk, "below") };
  }

  remove(): void {
    this.#lists.above.remove();
    this.#lists.below.remove();
  }

  /** See who is out of sight, when the editor has settled. */
  look(view: EditorView | undefined): void {
    view?.requestMeasure({ key: this, read: sightOf, write: (sight) => this.#draw(sight) });
  }

  #draw({ above, below, foot }: Sight): void {
    this.#lists.below.style.bottom = `${foot}px`;
    // Whoever is nearest comes first.
    const sides: Record<Side, Caret[]> = {
      above: above.sort((one, other) => other.head - one.head),
      below: below.sort((one, other) => one.head - other.head),
    };
    const looks = ([side, carets]: [string, Caret[]]) => [side, carets.map(({ id, name, color }) => [id, name, color])];
    const drawn = JSON.stringify(Object.entries(sides).map(looks));
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    for (const side of ["above", "below"] as const) this.#list(side, sides[side]);
  }

  #list(side: Side, carets: Caret[]): void {
    const list = this.#lists[side];
    const active = document.activeElement as HTMLElement | null;
    const hadFocus = list.contains(active);
    const buttons = carets.slice(0, MOST).map((caret) => this.#button(side, caret));
    const more = carets.length - buttons.length;
    if (more > 0) buttons.push(this.#moreButton(side, more));
    list.replaceChildren(...buttons);
    if (hadFocus) buttons.find((button) => button.dataset["id"] === active?.dataset["id"])?.focus();
  }

  #button(side: Side, { id, name, color }: Caret): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset["id"] = id;
    button.textContent = `${side === "above" ? "↑" : "↓"} ${name}`;
    button.setAttribute("aria-label", `Go to ${name}, ${side}`);
    paint(button, color);
    button.addEventListener("click", () => this.#goTo(id));
    return button;
  }

  #moreButton(side: Side, count: number): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "rest";
    button.textContent = `+${count}`;
    button.setAttribute("aria-label", `+${count} more ${side}: show everyone`);
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      this.#showEveryone();
    });
    return button;
  }
}

function listIn(desk: HTMLElement, side: Side): HTMLElement {
  const list = document.createElement("div");
  list.className = "edge";
  list.dataset["side"] = side;
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", `People ${side}`);
  desk.append(list);
  return list;
}

function sightOf(view: EditorView): Sight {
  const seen = view.scrollDOM.getBoundingClientRect();
  const sight: Sight = { above: [], below: [], foot: view.dom.getBoundingClientRect().bottom - seen.bottom };
  for (const caret of caretsIn(view)) {
    const head = Math.min(caret.head, view.state.doc.length);
    // A line that is not drawn has an estimated place, and a long one may have several rows.
    const block = view.lineBlockAt(head);
    const place = view.coordsAtPos(head) ?? {
      top: view.documentTop + block.top,
      bottom: view.documentTop + block.bottom,
    };
    if (place.bottom <= seen.top + 2) sight.above.push(caret);
    else if (place.top >= seen.bottom - 2) sight.below.push(caret);
  }
  return sight;
}
