/** Ways on with a text that the room does not have: the clipboard, a file, a new room. */
import { freshRoom, linkTo } from "../room";
import { fieldsOf } from "../untrusted";

function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector(selector) as T;
}

/**
 * Copy a text. Return whether it is in the clipboard; if it is not, a dialog shows the text, selected.
 * The clipboard is closed to pages without a certificate, and to most pages in frames.
 */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text) || showText(text);
  }
}

/** Old, but allowed where the clipboard is not, as long as the click that asked for it is recent. */
function copyBySelection(text: string): boolean {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.className = "hidden";
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return copied;
}

function showText(text: string): false {
  const field = find<HTMLTextAreaElement>("#text-field");
  field.value = text;
  find<HTMLDialogElement>("#text-dialog").showModal();
  field.select();
  return false;
}

/**
 * Open the editor in a fresh room that begins with a text. The text travels in the entry of the browser's
 * history: it outlives a reload, and needs no storage, which a page in a frame may not have.
 */
export function goOnInNewRoom(text: string): void {
  history.pushState({ carried: text }, "", linkTo(freshRoom()));
  location.reload();
}

/** The text that this room is to begin with, until it has been put there; "" if there is none. */
export function carriedText(): string {
  const { carried } = fieldsOf(history.state);
  return typeof carried === "string" ? carried : "";
}

export function dropCarriedText(): void {
  history.replaceState(null, "");
}

/** Back from a new room to the old: both are entries of one document, so the browser alone would not load it. */
export function watchHistory(): void {
  const { search } = location;
  window.addEventListener("popstate", () => {
    if (location.search !== search) location.reload();
  });
}
