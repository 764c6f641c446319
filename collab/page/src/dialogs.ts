/** The two questions that the page asks: which room, and what is your name. */
import { freshRoom, linkTo, NAME_LENGTH, roomIn } from "./room";

function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector(selector) as T;
}

/** A click on the backdrop is a click on the dialog itself, outside of what it holds. */
function closeOnBackdrop(dialog: HTMLDialogElement): void {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

export class RoomDialog {
  readonly #dialog = find<HTMLDialogElement>("#room-dialog");
  readonly #entry = find<HTMLInputElement>("#room-entry");
  readonly #wrong = find("#room-wrong");
  readonly #link = find<HTMLInputElement>("#room-link");

  constructor(room: string | null, say: (sentence: string) => void) {
    closeOnBackdrop(this.#dialog);
    this.#link.value = room === null ? "" : linkTo(room);
    find("#room-share").hidden = room === null;
    find<HTMLFormElement>("#room-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const named = roomIn(this.#entry.value);
      if (named === null) this.#complain();
      else location.assign(linkTo(named));
    });
    this.#entry.addEventListener("input", () => this.#calm());
    for (const button of document.querySelectorAll(".fresh-room")) {
      button.addEventListener("click", () => location.assign(linkTo(freshRoom())));
    }
    for (const button of document.querySelectorAll<HTMLElement>(".copy-link")) {
      button.hidden = room === null;
      button.addEventListener("click", async () => {
        const copied = await this.#copy();
        if (!copied) return;
        say("Link copied");
        button.dataset["copied"] = "";
        setTimeout(() => delete button.dataset["copied"], 1800);
      });
    }
    find("#room-button").addEventListener("click", () => this.open());
  }

  open(wrong = ""): void {
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#entry.value = wrong;
    if (wrong) this.#complain();
    else this.#calm();
    this.#entry.focus();
  }

  async #copy(): Promise<boolean> {
    try {
      await navigator.clipboard.writeText(this.#link.value);
      return true;
    } catch {
      // The clipboard is for pages with a certificate; elsewhere the link is shown, ready to be copied by hand.
      if (!this.#dialog.open) this.open();
      this.#link.focus();
      this.#link.select();
      return document.execCommand("copy");
    }
  }

  #complain(): void {
    this.#wrong.textContent = "A room's name has 1 to 128 letters, digits or - _ . :";
    this.#entry.setAttribute("aria-invalid", "true");
  }

  #calm(): void {
    this.#wrong.textContent = "";
    this.#entry.removeAttribute("aria-invalid");
  }
}

export class NameDialog {
  readonly #dialog = find<HTMLDialogElement>("#name-dialog");
  readonly #entry = find<HTMLInputElement>("#name-entry");

  constructor(chosen: (name: string) => void) {
    closeOnBackdrop(this.#dialog);
    this.#entry.maxLength = NAME_LENGTH;
    find<HTMLFormElement>("#name-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = this.#entry.value.trim();
      if (name) chosen(name);
      this.#dialog.close();
    });
  }

  open(name: string): void {
    this.#entry.value = name;
    this.#dialog.showModal();
    this.#entry.select();
  }
}
