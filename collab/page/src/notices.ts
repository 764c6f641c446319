/** What went wrong, said once, out of the way, until dismissed. */

export interface Refusal {
  message: string;
  code?: string;
}

/** What is said when a token runs out; the page goes on when it is given the next. */
export function expiring(seconds: unknown): Refusal {
  return { message: `Your access to this room ends in ${Number(seconds)} seconds.`, code: "expiring" };
}

export class Notices {
  readonly #list: HTMLElement;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  /** The same trouble again replaces its notice: a refusal per letter must not fill the screen. */
  show({ message, code }: Refusal): void {
    const key = code ?? message;
    const words = document.createElement("p");
    words.textContent = message;
    const close = document.createElement("button");
    close.type = "button";
    close.setAttribute("aria-label", "Dismiss this notice");
    close.append(cross());
    const notice = document.createElement("div");
    notice.className = "notice";
    notice.dataset["code"] = key;
    notice.append(words, close);
    close.addEventListener("click", () => notice.remove());
    const shown = this.#of(key);
    if (shown?.querySelector("p")?.textContent === message) return;
    if (shown) shown.replaceWith(notice);
    else this.#list.append(notice);
  }

  clear(): void {
    this.#list.replaceChildren();
  }

  #of(key: string): Element | undefined {
    return [...this.#list.children].find((notice) => (notice as HTMLElement).dataset["code"] === key);
  }
}

function cross(): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", "M4 4l8 8M12 4l-8 8");
  drawing.append(path);
  return drawing;
}
