/** The list of everybody in the room, with whole names, and what can be done about each. */
import { paint } from "../palette";
import { type Member, portrait, type Ways } from "./portrait";

interface Doings extends Ways {
  rename(): void;
}

function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector(selector) as T;
}

export class Everyone {
  readonly #button = find<HTMLButtonElement>("#more-people");
  readonly #panel = find("#everyone");
  readonly #list = find("#everyone ul");
  readonly #doings: Doings;
  #followed: string | null = null;

  constructor(doings: Doings) {
    this.#doings = doings;
    this.#button.addEventListener("click", () => (this.#panel.hidden ? this.open() : this.#close()));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#panel.hidden) return;
      // This Escape is for the list, not for whom one follows.
      event.preventDefault();
      event.stopPropagation();
      this.#close();
      this.#button.focus();
    }, { capture: true });
    document.addEventListener("click", (event) => {
      const inside = event.composedPath().some((each) => each === this.#panel || each === this.#button);
      if (!inside) this.#close();
    });
    this.#panel.addEventListener("focusout", ({ relatedTarget }) => {
      const to = relatedTarget as Node | null;
      if (to !== null && !this.#panel.contains(to) && to !== this.#button) this.#close();
    });
  }

  open(): void {
    this.#panel.hidden = false;
    this.#button.setAttribute("aria-expanded", "true");
    const first = this.#list.querySelector<HTMLElement>("button");
    first?.focus();
  }

  /** Who is here; `lookable` if this screen shows carets at all. */
  show(members: Member[], ownId: string | undefined, lookable: boolean): void {
    const focused = this.#list.contains(document.activeElement) ? document.activeElement?.closest("li")?.dataset["id"] : undefined;
    this.#list.replaceChildren(...members.map((member) => this.#row(member, member.id === ownId, lookable)));
    this.followed(this.#followed);
    if (focused === undefined) return;
    const row = [...this.#list.children].find((each) => (each as HTMLElement).dataset["id"] === focused);
    (row ?? this.#list).querySelector("button")?.focus();
  }

  /** How many people there are, and how many of them have no place in the header. */
  count(all: number, hidden: number): void {
    this.#button.hidden = all < 2;
    if (all < 2) this.#close();
    this.#button.classList.toggle("rest", hidden > 0);
    const [shown, spoken] = this.#button.querySelectorAll("span");
    if (shown) shown.textContent = hidden > 0 ? `+${hidden}` : String(all);
    if (spoken) spoken.textContent = hidden > 0 ? `${hidden} more: show everyone` : `Show all ${all} people`;
  }

  followed(id: string | null): void {
    this.#followed = id;
    for (const button of this.#list.querySelectorAll<HTMLElement>(".follow")) {
      const pressed = button.closest("li")?.dataset["id"] === id;
      button.setAttribute("aria-pressed", String(pressed));
    }
  }

  #close(): void {
    this.#panel.hidden = true;
    this.#button.setAttribute("aria-expanded", "false");
  }

  #row({ id, name, color, caret }: Member, own: boolean, lookable: boolean): HTMLLIElement {
    const row = document.createElement("li");
    row.dataset["id"] = id;
    paint(row, color);
    row.append(...portrait(name));
    if (own) row.append(this.#action("Change your name", "Change your name", () => this.#doings.rename()));
    else if (caret && lookable) {
      row.append(this.#action(`Go to ${name}`, "Go to", () => this.#doings.goTo(id)));
      const follow = this.#action(`Follow ${name}`, "Follow", () => this.#doings.follow(id));
      follow.className = "follow";
      row.append(follow);
    } else {
      const note = document.createElement("span");
      note.className = "note";
      note.textContent = lookable ? "has no cursor" : "";
      row.append(note);
    }
    return row;
  }

  #action(label: string, words: string, act: () => void): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => {
      this.#close();
      act();
    });
    return button;
  }
}
