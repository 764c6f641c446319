/** The text of a film on the screen: each letter in the color of whoever typed it. */
import { openSearchPanel } from "@codemirror/search";
import { RangeSetBuilder, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { caretLayers, setCarets } from "../carets";
import { labelled, Lock, mount, oneLineEnd, viewing } from "../code";
import type { Languages } from "../language";
import type { Actor } from "./cast";
import type { Frame, Run } from "./film";

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

  /** `actorOf` gives the actor of an author's number, as it is known when a frame is shown. */
  constructor(host: HTMLElement, private readonly actorOf: (by: number) => Actor | undefined, languages: Languages) {
    this.#view = mount(host, [
      new Lock().extension,
      EditorView.editable.of(false),
      languages.extension,
      oneLineEnd,
      viewing,
      runsField,
      caretLayers,
      painting((by) => inkOf(actorOf(by))),
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
  show({ text, runs, at }: Frame, by: number): void {
    const actor = this.actorOf(by);
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

const inks = new Map<string, Decoration>();

function inkOf(actor: Actor | undefined): Decoration | undefined {
  if (actor === undefined) return undefined;
  const { name, color } = actor;
  const key = `${color} ${name}`;
  const ink =
    inks.get(key) ??
    Decoration.mark({ class: "cm-written painted", attributes: { style: `--person: ${color}`, "data-author": name } });
  inks.set(key, ink);
  return ink;
}

/** Only what is in sight: a text may have thousands of runs. */
function painting(inkBy: (by: number) => Decoration | undefined) {
  const build = (view: EditorView): DecorationSet => {
    const builder = new RangeSetBuilder<Decoration>();
    let start = 0;
    for (const { by, length } of view.state.field(runsField)) {
      const end = start + length;
      const ink = inkBy(by);
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
