/** The panel that finds and replaces, above the text on every screen. */
import {
  closeSearchPanel,
  findNext,
  findPrevious,
  getSearchQuery,
  replaceAll,
  replaceNext,
  search,
  SearchQuery,
  setSearchQuery,
} from "@codemirror/search";
import type { Extension } from "@codemirror/state";
import { type EditorView, type Panel, runScopeHandlers, type ViewUpdate } from "@codemirror/view";
import { panelLooks } from "./find-looks";

/** Counting goes no further: who has this many matches wants another query. */
const MOST_COUNTED = 999;
/** The text is searched for the count at most this often, however fast others type. */
const COUNT_EVERY_MS = 120;

class FindPanel implements Panel {
  readonly dom = document.createElement("div");
  readonly top = true;
  readonly #view: EditorView;
  readonly #find = field("Find", "search");
  readonly #replace = field("Replace with", "replace");
  readonly #case = toggle("Aa", "Match case");
  readonly #word = toggle("ab", "Whole words");
  readonly #regexp = toggle(".*", "Regular expression");
  readonly #count = document.createElement("output");
  readonly #replacing = row("replacing");
  #counting: ReturnType<typeof setTimeout> | undefined;

  constructor(view: EditorView) {
    this.#view = view;
    this.dom.className = "find";
    this.dom.setAttribute("role", "search");
    this.dom.setAttribute("aria-label", "Find in the text");
    // CodeMirror gives the focus to the field that is marked so.
    this.#find.setAttribute("main-field", "true");
    const finding = row("finding");
    finding.append(
      this.#find,
      group(this.#case.label, this.#word.label, this.#regexp.label),
      this.#count,
      group(
        button("Previous match", "M4 10l4-4 4 4", () => findPrevious(view)),
        button("Next match", "M4 6l4 4 4-4", () => findNext(view)),
      ),
      button("Close", "M4 4l8 8M12 4l-8 8", () => closeSearchPanel(view)),
    );
    this.#replacing.append(
      this.#replace,
      group(
        worded("Replace", () => replaceNext(view)),
        worded("Replace all", () => replaceAll(view)),
      ),
    );
    this.dom.append(finding, this.#replacing);
    this.dom.addEventListener("input", () => this.#commit());
    this.dom.addEventListener("keydown", (event) => this.#key(event));
    this.#show();
    this.#allow();
  }

  mount(): void {
    this.#find.select();
  }

  destroy(): void {
    clearTimeout(this.#counting);
  }

  update(update: ViewUpdate): void {
    const asked = update.transactions.some((one) => one.effects.some((effect) => effect.is(setSearchQuery)));
    if (asked) this.#show();
    this.#allow();
    if (update.docChanged || update.selectionSet) this.#countSoon();
  }

  /** The query that the panel shows becomes the editor's. */
  #commit(): void {
    const query = new SearchQuery({
      search: this.#find.value,
      replace: this.#replace.value,
      caseSensitive: this.#case.box.checked,
      wholeWord: this.#word.box.checked,
      regexp: this.#regexp.box.checked,
      literal: !this.#regexp.box.checked,
    });
    if (!query.eq(getSearchQuery(this.#view.state))) this.#view.dispatch({ effects: setSearchQuery.of(query) });
  }

  #show(): void {
    const query = getSearchQuery(this.#view.state);
    // A field that already says so keeps its caret.
    if (this.#find.value !== query.search) this.#find.value = query.search;
    if (this.#replace.value !== query.replace) this.#replace.value = query.replace;
    this.#case.box.checked = query.caseSensitive;
    this.#word.box.checked = query.wholeWord;
    this.#regexp.box.checked = query.regexp;
    this.#countSoon();
  }

  /** Where nothing may be typed, nothing can be replaced. */
  #allow(): void {
    this.#replacing.hidden = this.#view.state.readOnly;
  }

  #key(event: KeyboardEvent): void {
    if (runScopeHandlers(this.#view, event, "search-panel")) event.preventDefault();
    else if (event.key === "Enter" && event.target === this.#find) {
      event.preventDefault();
      (event.shiftKey ? findPrevious : findNext)(this.#view);
    } else if (event.key === "Enter" && event.target === this.#replace) {
      event.preventDefault();
      replaceNext(this.#view);
    }
  }

  #countSoon(): void {
    this.#counting ??= setTimeout(() => {
      this.#counting = undefined;
      const words = this.#matches();
      if (this.#count.value !== words) this.#count.value = words;
    }, COUNT_EVERY_MS);
  }

  #matches(): string {
    const { state } = this.#view;
    const query = getSearchQuery(state);
    this.#find.toggleAttribute("aria-invalid", query.search !== "" && !query.valid);
    if (query.search === "") return "";
    if (!query.valid) return "Not valid";
    const { from, to } = state.selection.main;
    let count = 0;
    let place = 0;
    const cursor = query.getCursor(state);
    for (let next = cursor.next(); !next.done; next = cursor.next()) {
      count += 1;
      if (next.value.from === from && next.value.to === to) place = count;
      if (count > MOST_COUNTED) return place > 0 && place <= MOST_COUNTED ? `${place} of ${MOST_COUNTED}+` : `${MOST_COUNTED}+`;
    }
    if (count === 0) return "No matches";
    if (place > 0) return `${place} of ${count}`;
    return count === 1 ? "1 match" : `${count} matches`;
  }
}

export const findPanel: Extension = [
  // Literal: `\n` are the two characters that stand in the code, and a line break in regular expressions only.
  search({ top: true, literal: true, createPanel: (view) => new FindPanel(view) }),
  panelLooks,
];

function field(label: string, name: string): HTMLInputElement {
  const made = document.createElement("input");
  made.type = "text";
  made.name = name;
  made.placeholder = label;
  made.setAttribute("aria-label", label);
  made.autocomplete = "off";
  made.autocapitalize = "off";
  made.spellcheck = false;
  return made;
}

function toggle(mark: string, label: string): { label: HTMLElement; box: HTMLInputElement } {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.setAttribute("aria-label", label);
  const shown = document.createElement("span");
  shown.textContent = mark;
  shown.setAttribute("aria-hidden", "true");
  const made = document.createElement("label");
  made.title = label;
  made.append(box, shown);
  return { label: made, box };
}

function worded(label: string, press: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.addEventListener("click", press);
  return made;
}

function button(label: string, drawing: string, press: () => void): HTMLButtonElement {
  const made = worded("", press);
  made.setAttribute("aria-label", label);
  made.title = label;
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", drawing);
  picture.append(path);
  made.append(picture);
  return made;
}

function row(name: string): HTMLDivElement {
  const made = document.createElement("div");
  made.className = name;
  return made;
}

function group(...members: HTMLElement[]): HTMLDivElement {
  const made = row("group");
  made.append(...members);
  return made;
}
