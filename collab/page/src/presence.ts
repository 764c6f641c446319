/** Who is here. */
import type { Member } from "./session";

/** The golden angle: successive numbers land far apart on the colour wheel. */
const GOLDEN_ANGLE = 137.508;

/** From the name alone, so that a person has one colour on every screen and after every reconnection. */
function hueOf(name: string): number {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return Math.round((hash % 997) * GOLDEN_ANGLE) % 360;
}

function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  // By code point: half an emoji is no initial.
  return letters.map((word) => [...(word ?? "")][0] ?? "").join("").toUpperCase() || "?";
}

export class Presence {
  readonly #list: HTMLElement;
  readonly #rename: () => void;
  readonly #say: (sentence: string) => void;
  #known: Map<string, string> | undefined;

  constructor(list: HTMLElement, rename: () => void, say: (sentence: string) => void) {
    this.#list = list;
    this.#rename = rename;
    this.#say = say;
  }

  show(members: Member[], ownId: string | undefined): void {
    const own = (member: Member) => Number(member.id === ownId);
    const sorted = [...members].sort((one, other) => own(other) - own(one) || one.name.localeCompare(other.name));
    const hadFocus = this.#list.contains(document.activeElement);
    this.#list.replaceChildren(...sorted.map((member) => this.#row(member, member.id === ownId)));
    this.#list.dataset["count"] = String(members.length);
    if (hadFocus) this.#list.querySelector("button")?.focus();
    this.#announce(members, ownId);
  }

  /** Who was here while we are offline is only a memory. */
  dim(dimmed: boolean): void {
    this.#list.classList.toggle("dim", dimmed);
  }

  #row(member: Member, own: boolean): HTMLLIElement {
    const name = member.name || "Guest";
    const item = document.createElement("li");
    item.dataset["member"] = name;
    item.style.setProperty("--hue", String(hueOf(name)));
    const avatar = document.createElement("span");
    avatar.className = "avatar";
    avatar.textContent = initialsOf(name);
    avatar.setAttribute("aria-hidden", "true");
    const label = document.createElement("span");
    label.className = "person";
    label.textContent = name;
    const where = member.node ? `on node ${member.node}` : "";
    if (own) {
      item.dataset["own"] = "";
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Change your name";
      button.setAttribute("aria-label", `${name}, you. Change your name`);
      const mark = document.createElement("span");
      mark.className = "you";
      mark.textContent = "you";
      button.append(avatar, label, mark);
      button.addEventListener("click", this.#rename);
      item.append(button);
    } else {
      item.title = [name, where].filter(Boolean).join(", ");
      item.append(avatar, label);
    }
    return item;
  }

  #announce(members: Member[], ownId: string | undefined): void {
    const others = new Map(members.filter(({ id }) => id !== ownId).map(({ id, name }) => [id, name || "Guest"]));
    if (this.#known) {
      for (const [id, name] of others) if (!this.#known.has(id)) this.#say(`${name} came in`);
      for (const [id, name] of this.#known) if (!others.has(id)) this.#say(`${name} left`);
    }
    this.#known = others;
  }
}
