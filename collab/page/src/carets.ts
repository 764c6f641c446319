/**
 * Other people's carets and selections, drawn over and under the text.
 *
 * In layers of their own, not as widgets among the letters: lines don't shift when somebody's caret
 * comes by, and what is read out or copied is the text alone.
 */
import { EditorSelection, type Extension, StateEffect, StateField } from "@codemirror/state";
import { Direction, type EditorView, layer, type LayerMarker, RectangleMarker, type Rect } from "@codemirror/view";
import { paint } from "./palette";

export interface Caret {
  /** Who: one caret for each. */
  id: string;
  name: string;
  color: string;
  anchor: number;
  head: number;
}

export const setCarets = StateEffect.define<Caret[]>();

/** Everybody's caret, as they are in the text now. */
export function caretsIn(view: EditorView): readonly Caret[] {
  return view.state.field(carets);
}

const carets = StateField.define<Caret[]>({
  create: () => [],
  update(shown, transaction) {
    for (const effect of transaction.effects) if (effect.is(setCarets)) return effect.value;
    if (!transaction.docChanged) return shown;
    const moved = (position: number) => transaction.changes.mapPos(position, 1);
    return shown.map((caret) => ({ ...caret, anchor: moved(caret.anchor), head: moved(caret.head) }));
  },
});

/** A stretch of somebody's selection. */
class Stretch implements LayerMarker {
  constructor(
    private readonly caret: Caret,
    private readonly place: RectangleMarker,
  ) {}

  eq(other: Stretch): boolean {
    return other.caret.color === this.caret.color && other.place.eq(this.place);
  }

  draw(): HTMLElement {
    const drawn = this.place.draw();
    paint(drawn, this.caret.color);
    return drawn;
  }

  update(drawn: HTMLElement, before: Stretch): boolean {
    return before.caret.color === this.caret.color && this.place.update(drawn, before.place);
  }
}

/** Somebody's caret, with the name on a flag. */
class Flag implements LayerMarker {
  constructor(
    private readonly caret: Caret,
    private readonly left: number,
    private readonly top: number,
    private readonly height: number,
    /** Near the right edge the flag points the other way. */
    private readonly flipped: boolean,
  ) {}

  eq(other: Flag): boolean {
    return this.sameLook(other) && other.left === this.left && other.top === this.top && other.height === this.height;
  }

  draw(): HTMLElement {
    const name = document.createElement("span");
    name.className = "cm-caretName";
    name.textContent = this.caret.name;
    const drawn = document.createElement("div");
    drawn.className = "cm-caret";
    drawn.dataset["name"] = this.caret.name;
    drawn.dataset["id"] = this.caret.id;
    drawn.append(name);
    paint(drawn, this.caret.color);
    this.put(drawn);
    return drawn;
  }

  update(drawn: HTMLElement, before: Flag): boolean {
    if (before.caret.id !== this.caret.id || !this.sameLook(before)) return false;
    this.put(drawn);
    // The flag shows while its owner is busy and fades out after.
    for (const animation of drawn.getAnimations({ subtree: true })) {
      animation.currentTime = 0;
      animation.play();
    }
    return true;
  }

  private sameLook(other: Flag): boolean {
    const { id, name, color } = this.caret;
    return other.caret.id === id && other.caret.name === name && other.caret.color === color;
  }

  private put(drawn: HTMLElement): void {
    drawn.style.left = `${this.left}px`;
    drawn.style.top = `${this.top}px`;
    drawn.style.height = `${this.height}px`;
    drawn.classList.toggle("cm-caret-flipped", this.flipped);
  }
}

/** How much of a line's end is too near to the edge for a flag to its right. */
const FLAG_WIDTH = 110;

function flags(view: EditorView): Flag[] {
  const origin = originOf(view);
  const width = view.scrollDOM.clientWidth;
  const drawn: Flag[] = [];
  for (const caret of view.state.field(carets)) {
    const head = Math.min(caret.head, view.state.doc.length);
    const { from, to } = view.viewport;
    if (head < from || head > to) continue;
    const place: Rect | null = view.coordsAtPos(head, 1);
    if (!place) continue;
    const left = place.left - origin.left;
    const flipped = left - view.scrollDOM.scrollLeft > width - FLAG_WIDTH;
    drawn.push(new Flag(caret, left, place.top - origin.top, place.bottom - place.top, flipped));
  }
  return drawn;
}

function originOf(view: EditorView): { left: number; top: number } {
  const box = view.scrollDOM.getBoundingClientRect();
  const start = view.textDirection === Direction.LTR ? box.left : box.right - view.scrollDOM.clientWidth;
  return { left: start - view.scrollDOM.scrollLeft, top: box.top - view.scrollDOM.scrollTop };
}

function stretches(view: EditorView): Stretch[] {
  const length = view.state.doc.length;
  return view.state.field(carets).flatMap((caret) => {
    const [anchor, head] = [Math.min(caret.anchor, length), Math.min(caret.head, length)];
    if (anchor === head) return [];
    const places = RectangleMarker.forRange(view, "cm-stretch", EditorSelection.range(anchor, head));
    return places.map((place) => new Stretch(caret, place));
  });
}

/** Everything that draws them; give it the `setCarets` effect whenever they moved. */
export const caretLayers: Extension = [
  carets,
  layer({
    above: false,
    class: "cm-stretches",
    update: (update) => update.docChanged || update.viewportChanged || moved(update),
    markers: stretches,
  }),
  layer({
    above: true,
    class: "cm-carets",
    update: (update) => update.docChanged || update.viewportChanged || moved(update),
    markers: flags,
  }),
];

/** Whether somebody's caret is another than before, or at another place. */
export function moved(update: { startState: EditorView["state"]; state: EditorView["state"] }): boolean {
  return update.startState.field(carets) !== update.state.field(carets);
}
