/** The languages that the editor can color, and the control that chooses one. */
import { python } from "@codemirror/lang-python";
import { Compartment, type Extension } from "@codemirror/state";
import type { EditorView } from "@codemirror/view";

interface Language {
  label: string;
  load: () => Extension | Promise<Extension>;
}

/** Python comes with the page; the others are fetched when somebody asks for them. */
const LANGUAGES: Record<string, Language> = {
  python: { label: "Python", load: () => python() },
  javascript: {
    label: "JavaScript",
    load: async () => (await import("@codemirror/lang-javascript")).javascript({ jsx: true }),
  },
  java: { label: "Java", load: async () => (await import("@codemirror/lang-java")).java() },
  cpp: { label: "C++", load: async () => (await import("@codemirror/lang-cpp")).cpp() },
};
const FIRST = "python";

export class Languages {
  readonly #select: HTMLSelectElement;
  readonly #compartment = new Compartment();
  readonly #failed: () => void;
  readonly extension = this.#compartment.of(python());
  #view: EditorView | undefined;
  #shown = FIRST;

  constructor(select: HTMLSelectElement, chosen: (language: string) => void, failed: () => void) {
    this.#select = select;
    this.#failed = failed;
    select.replaceChildren(...Object.entries(LANGUAGES).map(([id, { label }]) => new Option(label, id)));
    select.value = FIRST;
    select.addEventListener("change", () => chosen(select.value));
  }

  attach(view: EditorView): void {
    this.#view = view;
  }

  /** Colors the text as that language; others may have chosen one that this page does not know. */
  async show(language: unknown): Promise<string | null> {
    if (typeof language !== "string" || !Object.hasOwn(LANGUAGES, language)) return null;
    const known = LANGUAGES[language] as Language;
    this.#select.value = language;
    if (language === this.#shown) return null;
    this.#shown = language;
    try {
      const extension = await known.load();
      if (this.#shown === language) this.#view?.dispatch({ effects: this.#compartment.reconfigure(extension) });
    } catch {
      this.#failed();
    }
    return known.label;
  }
}
