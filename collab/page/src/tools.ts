/** The buttons at the foot that work on the text of whichever screen is open. */

/** What the tools work on. */
export interface Work {
  find(): void;
  /** The text, and how the name of a file with it ends. */
  file(): { text: string; ending: string };
}

/** A file may keep its address this long until the browser has read it: it asks at once, or not at all. */
const KEEP_MS = 10_000;

export class Tools {
  readonly #find = document.querySelector("#find") as HTMLButtonElement;
  readonly #download = document.querySelector("#download") as HTMLButtonElement;
  #work: Work | undefined;

  constructor(room: string) {
    this.#find.addEventListener("click", () => this.#work?.find());
    this.#download.addEventListener("click", () => {
      const file = this.#work?.file();
      if (file) save(fileName(room, file.ending), file.text);
    });
  }

  attach(work: Work): void {
    this.#work = work;
    this.#find.disabled = false;
  }

  /** The text has come: before, a file would hold nothing and look like the room's text. */
  ready(): void {
    this.#download.disabled = false;
  }
}

/**
 * A room's name as the name of a file: no colon, which Windows forbids; no dot at its head, which hides a file;
 * no second ending where the room has the name of a file already.
 */
function fileName(room: string, ending: string): string {
  const name = room.replaceAll(":", "-").replace(/^\.+/, "") || "room";
  return name.endsWith(`.${ending}`) ? name : `${name}.${ending}`;
}

/** The browser writes it in UTF-8, exactly as it is. */
function save(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEEP_MS);
}
