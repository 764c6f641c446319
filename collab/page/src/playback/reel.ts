/** The picture behind the time line: how much was done when, and by whom. */
import { paint } from "../palette";
import type { Story } from "./story";

const SVG = "http://www.w3.org/2000/svg";
const BINS = 180;
const HEIGHT = 40;
/** The least that anything done looks like, and what is left free above the most. */
const [LEAST, HEADROOM] = [5, 4];

export function drawReel(host: HTMLElement, { film, cast }: Story): void {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${BINS} ${HEIGHT}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  const bins = Array.from({ length: BINS }, () => cast.actors.map(() => 0));
  film.cues.forEach((cue, index) => {
    const place = Math.min(BINS - 1, Math.floor((cue / film.length) * BINS));
    const bin = bins[place] as number[];
    const by = cast.place(film.edit(index + 1)?.by ?? -1);
    bin[by] = (bin[by] ?? 0) + 1;
  });
  const most = Math.max(1, ...bins.map(sum));
  bins.forEach((bin, place) => {
    // A root, so that one who pastes or types fast does not make everybody else a flat line.
    const full = sum(bin) === 0 ? 0 : LEAST + Math.sqrt(sum(bin) / most) * (HEIGHT - LEAST - HEADROOM);
    let bottom = HEIGHT;
    bin.forEach((edits, by) => {
      const height = sum(bin) === 0 ? 0 : (edits / sum(bin)) * full;
      if (height === 0) return;
      bottom -= height;
      const bar = box(place + 0.14, bottom, 0.72, height, "bar-of");
      paint(bar, cast.actors[by]?.color ?? "");
      drawing.append(bar);
    });
  });
  film.cuts.forEach((cut, index) => {
    if (cut) drawing.append(box(((film.cues[index] as number) / film.length) * BINS - 0.9, 0, 0.12, HEIGHT, "cut"));
  });
  host.replaceChildren(drawing);
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function box(x: number, y: number, width: number, height: number, kind: string): SVGRectElement {
  const drawn = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ x, y, width, height })) drawn.setAttribute(name, value.toFixed(2));
  drawn.classList.add(kind);
  return drawn;
}
