/** The colours of people: the same on every screen, and readable on light and on dark. */

const PALETTE = ["#c2410c", "#1d4ed8", "#15803d", "#a21caf", "#0f766e", "#b91c1c", "#6d28d9", "#4d7c0f"];

/** Below this luminance white letters can be read on a colour, above it black ones. */
const HALFWAY = 0.36;
/** Nearer than this on the colour wheel, two colours are hard to tell apart at the size of a caret. */
const ALIKE_DEGREES = 37;

/** From the name alone, so that a person has one colour after every reconnection and in every room. */
function placeOf(name: string): number {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return (hash % 997) % PALETTE.length;
}

/** The colour for somebody of that name: one that is far from those that are taken, while there is any. */
export function colourFor(name: string, taken: readonly string[] = []): string {
  const place = placeOf(name);
  const choices = PALETTE.map((_, step) => PALETTE[(place + step) % PALETTE.length] as string);
  const free = choices.find((colour) => !taken.some((other) => alike(colour, other)));
  return free ?? choices.find((colour) => !taken.includes(colour)) ?? (choices[0] as string);
}

/** Whether two colours are taken for each other, as teal and green are. */
export function alike(one: string, other: string): boolean {
  const [hue, otherHue] = [hueOf(one), hueOf(other)];
  if (hue === null || otherHue === null) return one === other;
  const apart = Math.abs(hue - otherHue);
  return Math.min(apart, 360 - apart) < ALIKE_DEGREES;
}

/** What others say is their colour, if it is one. */
export function colourFrom(said: unknown, name: string): string {
  return typeof said === "string" && CSS.supports("color", said) ? said : colourFor(name);
}

/** Gives an element and what is in it a person's colour; the style sheets make shades of it. */
export function paint(element: HTMLElement | SVGElement, colour: string): void {
  element.classList.add("painted");
  element.style.setProperty("--person", colour);
  element.style.setProperty("--on-person", luminance(colour) > HALFWAY ? "#15171b" : "#fff");
}

function luminance(colour: string): number {
  const [red, green, blue] = channelsOf(colour) ?? [0, 0, 0];
  return 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2;
}

function hueOf(colour: string): number | null {
  const channels = channelsOf(colour);
  if (channels === null) return null;
  const [red, green, blue] = channels;
  return (Math.atan2(Math.sqrt(3) * (green - blue), 2 * red - green - blue) * 180) / Math.PI;
}

/** Of a colour in six hexadecimal digits, each from 0 to 1; the names and functions of CSS are left alone. */
function channelsOf(colour: string): [number, number, number] | null {
  const digits = /^#([0-9a-f]{6})$/i.exec(colour)?.[1];
  if (digits === undefined) return null;
  const channel = (at: number) => parseInt(digits.slice(at, at + 2), 16) / 255;
  return [channel(0), channel(2), channel(4)];
}
