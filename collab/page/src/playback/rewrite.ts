/** The way back to an earlier text, as an edit of a document that others go on editing. */
import * as Y from "yjs";
import { type Splice, splices } from "../text/splice";

export interface Rewrite {
  /** A Yjs update that makes the edit, on this document and on any later state of it. */
  update: Uint8Array;
  /** How many letters go and come, in how many places. */
  removed: number;
  added: number;
  places: number;
}

/**
 * Make the smallest edit from a document's text to another text; null if they are equal.
 *
 * The edit is made on a copy, with an id of its own. Merged into the document later, it is an edit that was
 * made now: it removes nothing that others have typed in between.
 */
export function rewrite(text: Y.Text, wanted: string): Rewrite | null {
  const edits = splices(text.toString(), wanted);
  if (edits.length === 0) return null;
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(text.doc as Y.Doc));
  let update: Uint8Array = new Uint8Array();
  copy.on("update", (made: Uint8Array) => {
    update = made;
  });
  copy.transact(() => {
    for (const edit of edits.toReversed()) splice(copy.getText("code"), edit);
  });
  copy.destroy();
  return {
    update,
    removed: edits.reduce((sum, { from, to }) => sum + to - from, 0),
    added: edits.reduce((sum, { insert }) => sum + insert.length, 0),
    places: edits.length,
  };
}

function splice(text: Y.Text, { from, to, insert }: Splice): void {
  text.delete(from, to - from);
  text.insert(from, insert);
}
