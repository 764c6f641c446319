/** Texts as files that the browser saves. */

/** A file may keep its address this long until the browser has read it: it asks at once, or not at all. */
const KEEP_MS = 10_000;

/**
 * A room's name as the name of a file: no colon, which Windows forbids; no dot at its head, which hides a file;
 * no second ending where the room has the name of a file already.
 */
export function fileName(room: string, ending: string): string {
  const name = room.replaceAll(":", "-").replace(/^\.+/, "") || "room";
  return name.endsWith(`.${ending}`) ? name : `${name}.${ending}`;
}

/** The browser writes it in UTF-8, exactly as it is. */
export function saveText(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
}
