// Random characters to type, the same for the same seed.

// Every character is typed once in a process, so that a test can find out what became of it.
// A fifth of them are two units long in JavaScript, and some of those are emoji.
let typed = 0;
function character() {
  const n = typed++;
  if (n % 20 === 0 && n / 20 < 0x300) return String.fromCodePoint(0x1f300 + n / 20);
  if (n % 5 === 0 && n < 0x8000) return String.fromCodePoint(0x20000 + n);
  if (n < 0x5000) return String.fromCodePoint(0x4e00 + n);
  return String.fromCodePoint(0x30000 + n);
}
export const characters = (count) => Array.from({ length: count }, character);

export function randomness(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
