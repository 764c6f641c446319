/** The languages that the editor can color, and the control that chooses one. */
import { python } from "@codemirror/lang-python";
import { StreamLanguage, type StreamParser } from "@codemirror/language";
import { Compartment, type Extension, Facet } from "@codemirror/state";
import type { EditorView } from "@codemirror/view";

interface Language {
  /** As people write it. */
  label: string;
  /** How the names of its files end. */
  ending: string;
  /** As its people indent: a number of spaces, or a tab. */
  indent: "2" | "4" | "tab";
  load: () => Extension | Promise<Extension>;
}

const streamed = (parser: StreamParser<unknown>): Extension => StreamLanguage.define(parser);
const ecma = async (typescript: boolean): Promise<Extension> =>
  (await import("@codemirror/lang-javascript")).javascript({ jsx: true, typescript });
const cFamily = async (): Promise<Extension> => (await import("@codemirror/lang-cpp")).cpp();
const clike = () => import("@codemirror/legacy-modes/mode/clike");

/**
 * The keys are stored in rooms, so they stay. Python comes with the page; the others are fetched when
 * somebody asks for them.
 */
const LANGUAGES = {
  c: { label: "C", ending: "c", indent: "4", load: cFamily },
  cpp: { label: "C++", ending: "cpp", indent: "4", load: cFamily },
  csharp: { label: "C#", ending: "cs", indent: "4", load: async () => streamed((await clike()).csharp) },
  css: { label: "CSS", ending: "css", indent: "2", load: async () => (await import("@codemirror/lang-css")).css() },
  go: { label: "Go", ending: "go", indent: "tab", load: async () => (await import("@codemirror/lang-go")).go() },
  html: { label: "HTML", ending: "html", indent: "2", load: async () => (await import("@codemirror/lang-html")).html() },
  java: { label: "Java", ending: "java", indent: "4", load: async () => (await import("@codemirror/lang-java")).java() },
  javascript: { label: "JavaScript", ending: "js", indent: "2", load: () => ecma(false) },
  kotlin: { label: "Kotlin", ending: "kt", indent: "4", load: async () => streamed((await clike()).kotlin) },
  php: {
    label: "PHP",
    ending: "php",
    indent: "4",
    // Colors also what has no opening `<?php`, as solutions of exercises often don't.
    load: async () => (await import("@codemirror/lang-php")).php({ plain: true }),
  },
  python: { label: "Python", ending: "py", indent: "4", load: () => python() },
  ruby: {
    label: "Ruby",
    ending: "rb",
    indent: "2",
    load: async () => streamed((await import("@codemirror/legacy-modes/mode/ruby")).ruby),
  },
  rust: { label: "Rust", ending: "rs", indent: "4", load: async () => (await import("@codemirror/lang-rust")).rust() },
  sql: { label: "SQL", ending: "sql", indent: "2", load: async () => (await import("@codemirror/lang-sql")).sql() },
  typescript: { label: "TypeScript", ending: "ts", indent: "2", load: () => ecma(true) },
} satisfies Record<string, Language>;

export type LanguageKey = keyof typeof LANGUAGES;
const FIRST: LanguageKey = "python";

const isKnown = (language: unknown): language is LanguageKey =>
  typeof language === "string" && Object.hasOwn(LANGUAGES, language);

/** The language of an editor's text. */
export const spoken = Facet.define<LanguageKey, { key: LanguageKey; indent: Language["indent"] }>({
  combine: ([key = FIRST]) => ({ key, indent: LANGUAGES[key].indent }),
});

export class Languages {
  readonly #select: HTMLSelectElement;
  readonly #compartment = new Compartment();
  readonly #failed: () => void;
  readonly extension = this.#compartment.of([python(), spoken.of(FIRST)]);
  #view: EditorView | undefined;
  #shown: LanguageKey = FIRST;

  constructor(select: HTMLSelectElement, chosen: (language: string) => void, failed: () => void) {
    this.#select = select;
    this.#failed = failed;
    select.replaceChildren(...Object.entries(LANGUAGES).map(([key, { label }]) => new Option(label, key)));
    select.value = FIRST;
    select.addEventListener("change", () => chosen(select.value));
  }

  /** How the name of a file with this text ends. */
  get ending(): string {
    return LANGUAGES[this.#shown].ending;
  }

  attach(view: EditorView): void {
    this.#view = view;
  }

  /** Colors the text as that language; others may have chosen one that this page does not know. */
  async show(language: unknown): Promise<string | null> {
    if (!isKnown(language)) return null;
    const { label, load } = LANGUAGES[language];
    this.#select.value = language;
    if (language === this.#shown) return null;
    this.#shown = language;
    // Without its colors, a language still says how to indent and which words to complete.
    let colors: Extension = [];
    try {
      colors = await load();
    } catch {
      this.#failed();
    }
    if (this.#shown === language) {
      this.#view?.dispatch({ effects: this.#compartment.reconfigure([colors, spoken.of(language)]) });
    }
    return label;
  }
}
