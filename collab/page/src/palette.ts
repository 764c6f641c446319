/** The colors of people: the same on every screen, and readable on light and on dark. */

const PALETTE = ["#c2410c", "#1d4ed8", "#15803d", "#a21caf", "#0f766e", "#b91c1c", "#6d28d9", "#4d7c0f"];

/** Here black and white letters contrast equally with a color, by 4.6 to 1; people's may be of any luminance. */
const HALFWAY = 0.179;
/** Nearer than this on the color wheel, two colors are hard to tell apart at the size of a caret. */
const ALIKE_DEGREES = 37;

/** From the name alone, so that a person has one color after every reconnection and in every room. */
function placeOf(name: string): number {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return (hash % 997) % PALETTE.length;
}

/** The color for somebody of that name: one that is far from those that are taken, while there is any. */
export function colorFor(name: string, taken: readonly string[] = []): string {
  const place = placeOf(name);
  const choices = PALETTE.map((_, step) => PALETTE[(place + step) % PALETTE.length] as string);
  const free = choices.find((color) => !taken.some((other) => alike(color, other)));
  return free ?? choices.find((color) => !taken.includes(color)) ?? (choices[0] as string);
}

/** Whether two colors are taken for each other, as teal and green are. */
export function alike(one: string, other: string): boolean {
  const apart = Math.abs(hueOf(one) - hueOf(other));
  return Math.min(apart, 360 - apart) < ALIKE_DEGREES;
}

/** Gives an element and what is in it a person's color; the style sheets make shades of it. */
export function paint(element: HTMLElement | SVGElement, color: string): void {
  element.classList.add("painted");
  element.style.setProperty("--person", color);
  element.style.setProperty("--on-person", luminance(color) > HALFWAY ? "#000" : "#fff");
}

function luminance(color: string): number {
  const [red, green, blue] = channelsOf(color);
  return 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2;
}

function hueOf(color: string): number {
  const [red, green, blue] = channelsOf(color);
  return (Math.atan2(Math.sqrt(3) * (green - blue), 2 * red - green - blue) * 180) / Math.PI;
}

/** Of a color in six hexadecimal digits, each from 0 to 1. */
function channelsOf(color: string): [number, number, number] {
  const channel = (at: number) => parseInt(color.slice(at, at + 2), 16) / 255;
  return [channel(1), channel(3), channel(5)];
}
