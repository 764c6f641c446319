/** The dialog in which a person sets up the editor. What they choose is in force at once. */
import { isIndent, preferences, SIZE, sizeInForce } from "./preferences";

export class SettingsDialog {
  readonly #dialog = find<HTMLDialogElement>("#settings-dialog");
  readonly #indents = [...this.#dialog.querySelectorAll<HTMLInputElement>("[name=indent]")];
  readonly #wrap = find<HTMLInputElement>("#wrap");
  readonly #suggest = find<HTMLInputElement>("#suggest");
  readonly #size = find("#size");
  readonly #smaller = find<HTMLButtonElement>("#smaller");
  readonly #larger = find<HTMLButtonElement>("#larger");

  constructor() {
    find("#settings").addEventListener("click", () => this.#open());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    for (const each of this.#indents) {
      each.addEventListener("change", () => isIndent(each.value) && preferences.set({ indent: each.value }));
    }
    this.#wrap.addEventListener("change", () => preferences.set({ wrap: this.#wrap.checked }));
    this.#suggest.addEventListener("change", () => preferences.set({ suggest: this.#suggest.checked }));
    this.#smaller.addEventListener("click", () => this.#resize(sizeInForce() - 1));
    this.#larger.addEventListener("click", () => this.#resize(sizeInForce() + 1));
    find("#usual-size").addEventListener("click", () => this.#resize(null));
  }

  #open(): void {
    const { indent, wrap, suggest } = preferences.current;
    for (const each of this.#indents) each.checked = each.value === indent;
    this.#wrap.checked = wrap;
    this.#suggest.checked = suggest;
    this.#showSize();
    this.#dialog.showModal();
  }

  #resize(size: number | null): void {
    if (size !== null && (size < SIZE.least || size > SIZE.most)) return;
    preferences.set({ size });
    this.#showSize();
  }

  /** A button that does nothing says so, but keeps the focus: it is not `disabled`. */
  #showSize(): void {
    const size = sizeInForce();
    this.#size.textContent = `${size} px`;
    this.#smaller.setAttribute("aria-disabled", String(size <= SIZE.least));
    this.#larger.setAttribute("aria-disabled", String(size >= SIZE.most));
  }
}

function find<T extends HTMLElement>(selector: string): T {
  return document.querySelector(selector) as T;
}
