/** The text of a film on the screen: each letter in the color of whoever typed it. */
import { openSearchPanel } from "@codemirror/search";
import { RangeSetBuilder, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { caretLayers, setCarets } from "../carets";
import { labelled, Lock, mount, oneLineEnd, viewing } from "../code";
import type { Languages } from "../language";
import type { Frame, Run } from "./film";

export interface Actor {
  name: string;
  color: string;
}

const setRuns = StateEffect.define<Run[]>();

const runsField = StateField.define<Run[]>({
  create: () => [],
  update(runs, transaction) {
    for (const effect of transaction.effects) if (effect.is(setRuns)) return effect.value;
    return runs;
  },
});

export class Stage {
  readonly #view: EditorView;
  readonly #actors: Actor[];

  constructor(host: HTMLElement, actors: Actor[], languages: Languages) {
    this.#actors = actors;
    const inks = actors.map((actor) =>
      Decoration.mark({
        class: "cm-written painted",
        attributes: { style: `--person: ${actor.color}`, "data-author": actor.name },
      }),
    );
    this.#view = mount(host, [
      new Lock().extension,
      EditorView.editable.of(false),
      languages.extension,
      oneLineEnd,
      viewing,
      runsField,
      caretLayers,
      painting(inks),
      labelled("Text at this moment", "Space plays and pauses, the arrow keys go from edit to edit."),
    ]);
    languages.attach(this.#view);
  }

  /** The text as it is shown. */
  get text(): string {
    return this.#view.state.doc.toString();
  }

  find(): void {
    openSearchPanel(this.#view);
  }

  /** Shows the text after some edits; `by` made the last of them. */
  show({ text, runs, at }: Frame, by: number | undefined): void {
    const actor = by === undefined ? undefined : this.#actors[by];
    const caret = actor && at !== null ? [{ id: "last", name: actor.name, color: actor.color, anchor: at, head: at }] : [];
    const effects: StateEffect<unknown>[] = [setRuns.of(runs), setCarets.of(caret)];
    if (at !== null) effects.push(EditorView.scrollIntoView(at, { y: "nearest", yMargin: 60 }));
    this.#view.dispatch({ changes: difference(this.#view.state.doc.toString(), text), effects });
  }
}

/** Where two texts differ, as one replacement: all else keeps its place on the screen. */
function difference(before: string, after: string): { from: number; to: number; insert: string } {
  const most = Math.min(before.length, after.length);
  let from = 0;
  while (from < most && before.charCodeAt(from) === after.charCodeAt(from)) from += 1;
  let same = 0;
  while (same < most - from && before.charCodeAt(before.length - 1 - same) === after.charCodeAt(after.length - 1 - same)) {
    same += 1;
  }
  return { from, to: before.length - same, insert: after.slice(from, after.length - same) };
}

/** Only what is in sight: a text may have thousands of runs. */
function painting(inks: Decoration[]) {
  const build = (view: EditorView): DecorationSet => {
    const builder = new RangeSetBuilder<Decoration>();
    let start = 0;
    for (const { by, length } of view.state.field(runsField)) {
      const end = start + length;
      const ink = inks[by];
      for (const seen of ink ? view.visibleRanges : []) {
        const [from, to] = [Math.max(start, seen.from), Math.min(end, seen.to)];
        if (from < to && ink) builder.add(from, to, ink);
      }
      start = end;
    }
    return builder.finish();
  };
  return ViewPlugin.define<{ marks: DecorationSet; update(update: ViewUpdate): void }>(
    (view) => ({
      marks: build(view),
      update(update) {
        this.marks = build(update.view);
      },
    }),
    { decorations: (plugin) => plugin.marks },
  );
}
