/** Who is here: as many people as the header has place for, and all of them in a list that can be opened. */
import "./people/people.css";
import { DEBUG } from "./badge";
import { Everyone } from "./people/everyone";
import { paint } from "./palette";
import { type Member, portrait, type Ways } from "./people/portrait";

export { type Member, portrait };

/** Marks without names are shown where there is place for this many times as many of them. */
const WORTH_IT = 2;

export class Presence {
  readonly #list: HTMLElement;
  readonly #everyone: Everyone;
  readonly #rename: () => void;
  readonly #say: (sentence: string) => void;
  /** On screens that show no carets there is no way to anybody. */
  guide: Ways | undefined;
  #known: Map<string, string> | undefined;
  #drawn = "";
  #width = 0;

  constructor(list: HTMLElement, rename: () => void, say: (sentence: string) => void) {
    this.#list = list;
    this.#rename = rename;
    this.#say = say;
    this.#everyone = new Everyone({ rename, goTo: (id) => this.guide?.goTo(id), follow: (id) => this.guide?.follow(id) });
    new ResizeObserver(() => {
      if (list.clientWidth !== this.#width) this.#fit();
    }).observe(list);
  }

  show(members: Member[], ownId: string | undefined): void {
    const own = (member: Member) => Number(member.id === ownId);
    const sorted = [...members]
      .sort((one, other) => own(other) - own(one) || one.name.localeCompare(other.name, undefined, { numeric: true }) || (one.id < other.id ? -1 : 1));
    // Carets move a lot; the list is only drawn again when it would look different.
    const drawn = JSON.stringify([ownId, sorted, this.guide !== undefined]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const focused = document.activeElement?.closest<HTMLElement>("#people li")?.dataset["id"];
    this.#list.replaceChildren(...sorted.map((member) => this.#item(member, member.id === ownId)));
    this.#list.dataset["count"] = String(members.length);
    this.#everyone.show(sorted, ownId, this.guide !== undefined);
    this.#fit();
    if (focused !== undefined) {
      const items = [...this.#list.children] as HTMLElement[];
      (items.find((item) => item.dataset["id"] === focused) ?? items[0])?.querySelector("button")?.focus();
    }
    this.#announce(sorted, ownId);
  }

  /** Who was here while we are offline is only a memory. */
  dim(dimmed: boolean): void {
    this.#list.classList.toggle("dim", dimmed);
  }

  followed(id: string | null): void {
    this.#everyone.followed(id);
  }

  showEveryone(): void {
    this.#everyone.open();
  }

  #item(member: Member, own: boolean): HTMLLIElement {
    const { id, name, color, node, caret } = member;
    const item = document.createElement("li");
    item.dataset["member"] = name;
    item.dataset["id"] = id;
    paint(item, color);
    const place = DEBUG && node ? `, on node ${node}` : "";
    if (own) {
      item.dataset["own"] = "";
      const mark = document.createElement("span");
      mark.className = "you";
      mark.textContent = "you";
      const purpose = document.createElement("span");
      purpose.className = "hidden";
      purpose.textContent = "Change your name";
      item.append(button(`${name} (you): change your name${place}`, [...portrait(name), mark, purpose], this.#rename));
    } else if (caret && this.guide) {
      const purpose = document.createElement("span");
      purpose.className = "hidden";
      purpose.textContent = "Go to their cursor";
      item.append(button(`Go to ${name}${place}`, [...portrait(name), purpose], () => this.guide?.goTo(id)));
    } else {
      item.title = `${name}${this.guide ? " has no cursor" : ""}${place}`;
      item.append(...portrait(name));
    }
    return item;
  }

  /** Names are shown whole or not at all: who has no place is counted on the button beside the list. */
  #fit(): void {
    const items = [...this.#list.children] as HTMLElement[];
    for (const item of items) item.hidden = false;
    this.#everyone.count(items.length, 0);
    let fitting = this.#fitting(items, "");
    if (fitting < items.length) fitting = this.#fitting(items, "brief");
    if (fitting < items.length) {
      const marks = this.#fitting(items, "compact");
      fitting = marks >= WORTH_IT * fitting ? marks : this.#fitting(items, "brief");
    }
    for (const item of items.slice(fitting)) item.hidden = true;
    this.#everyone.count(items.length, items.length - fitting);
    this.#width = this.#list.clientWidth;
  }

  /** How many fit: with all names, with a mark for oneself and the others' names, or with marks alone. */
  #fitting(items: HTMLElement[], look: "" | "brief" | "compact"): number {
    this.#list.classList.toggle("brief", look === "brief");
    this.#list.classList.toggle("compact", look === "compact");
    const { paddingLeft, paddingRight, columnGap } = getComputedStyle(this.#list);
    const gap = parseFloat(columnGap) || 0;
    let left = this.#list.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight) + gap;
    const after = items.findIndex((item) => {
      left -= item.getBoundingClientRect().width + gap;
      return left < 0;
    });
    // Oneself always has a place.
    return after === -1 ? items.length : Math.max(1, after);
  }

  #announce(members: Member[], ownId: string | undefined): void {
    const others = new Map(members.filter(({ id }) => id !== ownId).map(({ id, name }) => [id, name]));
    if (this.#known) {
      for (const [id, name] of others) if (!this.#known.has(id)) this.#say(`${name} came in`);
      for (const [id, name] of this.#known) if (!others.has(id)) this.#say(`${name} left`);
    }
    this.#known = others;
  }
}

function button(title: string, parts: HTMLElement[], click: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.title = title;
  made.append(...parts);
  made.addEventListener("click", click);
  return made;
}
