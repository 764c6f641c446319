/** The buttons at the foot that work on the text of whichever screen is open. */

import { fileName, saveText } from "./files";

/** What the tools work on. */
export interface Work {
  find(): void;
  /** The text, and how the name of a file with it ends. */
  file(): { text: string; ending: string };
}

export class Tools {
  readonly #find = document.querySelector("#find") as HTMLButtonElement;
  readonly #download = document.querySelector("#download") as HTMLButtonElement;
  #work: Work | undefined;

  constructor(room: string) {
    this.#find.addEventListener("click", () => this.#work?.find());
    this.#download.addEventListener("click", () => {
      const file = this.#work?.file();
      if (file) saveText(fileName(room, file.ending), file.text);
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
