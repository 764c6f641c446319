/** Who is here. */
import { paint } from "./palette";
import type { Person } from "./untrusted";

export interface Member extends Person {
  id: string;
  node?: string;
}

export function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  // By code point: half an emoji is no initial.
  return letters.map((word) => [...(word ?? "")][0] ?? "").join("").toUpperCase() || "?";
}

/** The round mark and the name that stand for a person. */
export function portrait(name: string): HTMLElement[] {
  const avatar = document.createElement("span");
  avatar.className = "avatar";
  avatar.textContent = initialsOf(name);
  avatar.setAttribute("aria-hidden", "true");
  const label = document.createElement("span");
  label.className = "person";
  label.textContent = name;
  return [avatar, label];
}

export class Presence {
  readonly #list: HTMLElement;
  readonly #rename: () => void;
  readonly #say: (sentence: string) => void;
  #known: Map<string, string> | undefined;
  #drawn = "";

  constructor(list: HTMLElement, rename: () => void, say: (sentence: string) => void) {
    this.#list = list;
    this.#rename = rename;
    this.#say = say;
  }

  show(members: Member[], ownId: string | undefined): void {
    const own = (member: Member) => Number(member.id === ownId);
    const sorted = [...members]
      .sort((one, other) => own(other) - own(one) || one.name.localeCompare(other.name) || (one.id < other.id ? -1 : 1));
    // Carets move a lot; the list is only drawn again when it would look different.
    const drawn = JSON.stringify([ownId, sorted]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const hadFocus = this.#list.contains(document.activeElement);
    this.#list.replaceChildren(...sorted.map((member) => this.#row(member, member.id === ownId)));
    this.#list.dataset["count"] = String(members.length);
    if (hadFocus) this.#list.querySelector("button")?.focus();
    this.#announce(sorted, ownId);
  }

  /** Who was here while we are offline is only a memory. */
  dim(dimmed: boolean): void {
    this.#list.classList.toggle("dim", dimmed);
  }

  #row(member: Member, own: boolean): HTMLLIElement {
    const { name, color } = member;
    const item = document.createElement("li");
    item.dataset["member"] = name;
    paint(item, color);
    if (own) {
      item.dataset["own"] = "";
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Change your name";
      const mark = document.createElement("span");
      mark.className = "you";
      mark.textContent = "you";
      const purpose = document.createElement("span");
      purpose.className = "hidden";
      purpose.textContent = "Change your name";
      button.append(...portrait(name), mark, purpose);
      button.addEventListener("click", this.#rename);
      item.append(button);
    } else {
      item.title = member.node ? `${name}, on node ${member.node}` : name;
      item.append(...portrait(name));
    }
    return item;
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
