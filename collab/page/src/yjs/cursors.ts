/** Carets by way of awareness: ours goes out, those of the others come in. The fields are y-codemirror's. */
import type { Extension } from "@codemirror/state";
import { type EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import type { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { type Caret, caretLayers, setCarets } from "../carets";
import { personOf, placeOf } from "./people";

/** A selection that is being dragged changes with every pixel; the others see it this often. */
const PACE_MS = 60;

interface Place {
  anchor: Y.RelativePosition;
  head: Y.RelativePosition;
}

export function cursors(text: Y.Text, awareness: Awareness): Extension {
  return [caretLayers, ViewPlugin.define((view) => new Cursors(view, text, awareness))];
}

class Cursors {
  #due: ReturnType<typeof setTimeout> | undefined;
  #told: Place | undefined;
  readonly #changed = ({ added, updated, removed }: Record<"added" | "updated" | "removed", number[]>) => {
    if ([...added, ...updated, ...removed].some((client) => client !== this.awareness.clientID)) this.#draw();
  };

  constructor(
    private readonly view: EditorView,
    private readonly text: Y.Text,
    private readonly awareness: Awareness,
  ) {
    awareness.on("change", this.#changed);
  }

  update(update: ViewUpdate): void {
    if (!update.docChanged && !update.selectionSet && !update.focusChanged) return;
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.#tell();
    }, PACE_MS);
  }

  destroy(): void {
    clearTimeout(this.#due);
    this.awareness.off("change", this.#changed);
  }

  /** The last place stays known while the page has not the focus: the others still see where we are. */
  #tell(): void {
    if (!this.view.hasFocus || this.awareness.getLocalState() === null) return;
    const { anchor, head } = this.view.state.selection.main;
    const place = {
      anchor: Y.createRelativePositionFromTypeIndex(this.text, anchor),
      head: Y.createRelativePositionFromTypeIndex(this.text, head),
    };
    const same =
      this.#told !== undefined &&
      Y.compareRelativePositions(this.#told.anchor, place.anchor) &&
      Y.compareRelativePositions(this.#told.head, place.head);
    if (same) return;
    this.#told = place;
    this.awareness.setLocalStateField("cursor", place);
  }

  #draw(): void {
    const shown: Caret[] = [];
    for (const [client, state] of this.awareness.getStates()) {
      if (client === this.awareness.clientID) continue;
      const place = placeOf(state);
      if (place === null) continue;
      const anchor = this.#indexOf(place.anchor);
      const head = this.#indexOf(place.head);
      if (anchor === null || head === null) continue;
      shown.push({ id: String(client), ...personOf(state), anchor, head });
    }
    this.view.dispatch({ effects: setCarets.of(shown) });
  }

  /** Others may say anything. */
  #indexOf(said: unknown): number | null {
    try {
      const place = Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(said), this.text.doc as Y.Doc);
      return place?.type === this.text && Number.isSafeInteger(place.index) ? place.index : null;
    } catch {
      return null;
    }
  }
}
