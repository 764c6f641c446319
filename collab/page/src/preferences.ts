/** How this person likes the editor: their own, on every screen, and never the room's. */
import { memory } from "./room";

/** `auto`: as people write the language. */
export type Indent = "auto" | "2" | "4" | "tab";

export interface Preferences {
  indent: Indent;
  wrap: boolean;
  /** Completion while typing; asked for with its key it is always there. */
  suggest: boolean;
  /** In CSS pixels of an unscaled page; null is the size of the page's style sheet. */
  size: number | null;
}

/** Smaller letters can't be read; with larger ones a phone shows no whole line. In CSS pixels. */
export const SIZE = { least: 11, most: 28 };
/** The height of a line, in heights of its letters. */
const LINE = 1.6;
/** What browsers take for 1 rem until somebody asks for larger letters everywhere. */
const REM = 16;

const INDENTS: readonly string[] = ["auto", "2", "4", "tab"] satisfies Indent[];
export const isIndent = (value: string | null): value is Indent => value !== null && INDENTS.includes(value);

const current = stored();
const watchers = new Set<() => void>();

/** What is stored may be from another version of the page, or anything: what is unknown is passed over. */
function stored(): Preferences {
  const [indent, size] = [memory.get("indent"), memory.get("size")];
  return {
    indent: isIndent(indent) ? indent : "auto",
    wrap: memory.get("wrap") === "on",
    suggest: memory.get("suggest") !== "off",
    size: size !== null && /^\d{1,3}$/.test(size) ? sizeWithin(Number(size)) : null,
  };
}

function sizeWithin(size: number): number | null {
  return size >= SIZE.least && size <= SIZE.most ? size : null;
}

export const preferences = {
  get current(): Readonly<Preferences> {
    return current;
  },

  set(chosen: Partial<Preferences>): void {
    Object.assign(current, chosen);
    memory.set("indent", current.indent === "auto" ? null : current.indent);
    memory.set("wrap", current.wrap ? "on" : null);
    memory.set("suggest", current.suggest ? null : "off");
    memory.set("size", current.size === null ? null : String(current.size));
    applySize();
    for (const watcher of watchers) watcher();
  },

  /** Calls the watcher after every change, until the function that it returns is called. */
  watch(watcher: () => void): () => void {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  },
};

/** The size of the letters in force, in CSS pixels of an unscaled page. */
export function sizeInForce(): number {
  const size = getComputedStyle(document.documentElement).getPropertyValue("--code-size");
  return Math.round(Number.parseFloat(size) * REM);
}

/** In rem: who has asked the browser for larger letters gets them here too. */
export function applySize(): void {
  const { style } = document.documentElement;
  const { size } = current;
  if (size === null) {
    style.removeProperty("--code-size");
    style.removeProperty("--code-line");
  } else {
    style.setProperty("--code-size", `${size / REM}rem`);
    style.setProperty("--code-line", `${Math.round(size * LINE) / REM}rem`);
  }
}
