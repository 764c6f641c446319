/**
 * What others say, made fit to be shown. Anybody may say anything of themselves in awareness, any service
 * may emit an event to a room, and a history keeps both: nothing of it is used before it went through here.
 */
import { colorFor } from "./palette";

/** Somebody as they are to be shown. */
export interface Person {
  name: string;
  /** `#` and six hexadecimal digits. */
  color: string;
}

/** As long as the service lets a name be, and a sentence that fits a notice; in code points. */
const MOST = { name: 64, sentence: 300 };
const COLOUR = /^#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/i;
const WORD = /^\w{1,64}$/;

/** The fields of an object; none of anything else. */
export function fieldsOf(said: unknown): Readonly<Record<string, unknown>> {
  return typeof said === "object" && said !== null ? (said as Record<string, unknown>) : {};
}

/** One line of letters that can be seen, and that don't turn the others around; "" of what is no text. */
function lineFrom(said: unknown, most: number): string {
  if (typeof said !== "string") return "";
  const seen = said.replace(/[\p{C}\p{Z}]/gu, (letter) => (letter === " " ? letter : ""));
  return [...seen.trim().replace(/ +/g, " ")].slice(0, most).join("").trim();
}

/** A name; "" if there is none. */
export function nameFrom(said: unknown): string {
  return lineFrom(said, MOST.name);
}

/** A sentence of an error; "" if there is none. */
export function sentenceFrom(said: unknown): string {
  return lineFrom(said, MOST.sentence);
}

/** A stable machine word, as errors have them. */
export function wordFrom(said: unknown): string | undefined {
  return typeof said === "string" && WORD.test(said) ? said : undefined;
}

/** A person of whom somebody, most likely they themselves, said that this is their name and color. */
export function personFrom(name: unknown, color: unknown): Person {
  const shown = nameFrom(name) || "Guest";
  if (typeof color !== "string" || !COLOUR.test(color)) return { name: shown, color: colorFor(shown) };
  const digits = color.slice(1).toLowerCase();
  const six = digits.length < 6 ? digits.replace(/./g, "$&$&") : digits;
  return { name: shown, color: `#${six.slice(0, 6)}` };
}
