/** A person as they are shown, wherever that is. */
import type { Person } from "../untrusted";

export interface Member extends Person {
  id: string;
  node?: string;
  /** Whether they have a caret that is known here. */
  caret?: boolean;
}

/** What can be done about somebody who has a caret. */
export interface Ways {
  goTo(id: string): void;
  follow(id: string): void;
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
