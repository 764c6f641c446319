/** The document of a history, built from its updates one after the other; each is told as an edit of the text. */
import * as Y from "yjs";

/** In UTF-16 units, as strings are counted here. What is left after the last one stays. */
export type Op = { retain: number } | { insert: string } | { delete: number };

export class Replay {
  readonly #doc = new Y.Doc();
  readonly #text = this.#doc.getText("code");
  #delta: Op[] = [];
  /** The text, while embeds are in it: they count in Yjs' deltas and are no letters. */
  #withEmbeds: string | null = null;

  constructor(base: Uint8Array) {
    this.#text.observe((event) => {
      this.#delta = this.#deltaOf(event.delta);
    });
    this.apply(base);
  }

  get text(): string {
    return this.#text.toString();
  }

  /** Apply an update and return what it did to the text. One that can't be applied does nothing, as on every node. */
  apply(update: Uint8Array): Op[] {
    this.#delta = [];
    if (update.length === 0) return [];
    const before = this.#withEmbeds;
    try {
      Y.applyUpdate(this.#doc, update);
    } catch (problem) {
      console.warn("An entry of the history was skipped", problem);
    }
    return before === null ? this.#delta : replacement(before, this.text);
  }

  #deltaOf(delta: Y.YTextEvent["delta"]): Op[] {
    const ops: Op[] = [];
    let embeds = this.#withEmbeds !== null;
    for (const { retain, insert, delete: removed } of delta) {
      if (typeof insert === "string") ops.push({ insert });
      else if (insert !== undefined) embeds = true;
      else if (retain !== undefined) ops.push({ retain });
      else if (removed !== undefined) ops.push({ delete: removed });
    }
    // The service removes an embed with the next edit; until then texts are compared.
    if (embeds) this.#withEmbeds = this.#text.length === this.text.length ? null : this.text;
    return ops;
  }
}

/** The one replacement that leads from a text to another. */
export function replacement(before: string, after: string): Op[] {
  const most = Math.min(before.length, after.length);
  let from = 0;
  while (from < most && before.charCodeAt(from) === after.charCodeAt(from)) from += 1;
  let same = 0;
  while (same < most - from && before.charCodeAt(before.length - 1 - same) === after.charCodeAt(after.length - 1 - same)) {
    same += 1;
  }
  if (before.length === same + from && after.length === same + from) return [];
  return [{ retain: from }, { delete: before.length - same - from }, { insert: after.slice(from, after.length - same) }];
}
