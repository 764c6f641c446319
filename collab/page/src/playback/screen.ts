/** The page as a projector: a room's history, played, paused, scrubbed and sped up. */
import { find, type Frame as PageFrame } from "../frame";
import { Languages } from "../language";
import { colorFor, paint } from "../palette";
import { portrait } from "../presence";
import { memory } from "../room";
import { Film } from "./film";
import { fetchHistory, NoHistory } from "./history";
import { drawReel } from "./reel";
import { type Actor, Stage } from "./stage";

/** How far a page key goes in the film. */
const LEAP_MS = 5000;
/** A tab in the background stands still; the film then waits with it. */
const LONGEST_STEP_MS = 250;
const NOBODY = "#66686e";

export function openPlayback(frame: PageFrame, room: string): void {
  void (async () => {
    frame.badge.show("playback");
    find("#player").hidden = false;
    const clock = find("#clock");
    const progress = (done: number) => {
      clock.textContent = `Reading the history… ${Math.round(done * 100)} %`;
    };
    clock.textContent = "Reading the history…";
    try {
      // Reading it and working it out take their halves of the way.
      const film = new Film(await fetchHistory(room, (done) => progress(done / 2)));
      await film.prepare((done) => progress((1 + done) / 2));
      new Player(frame, film);
    } catch (problem) {
      clock.textContent = "No history";
      const message = problem instanceof NoHistory ? problem.message : "The history could not be understood.";
      frame.notices.show({ message, code: "history" });
    }
  })();
}

function castOf(film: Film): Actor[] {
  const taken: string[] = [];
  return film.cast.map(({ key, name }) => {
    const color = key === "" ? NOBODY : colorFor(name, taken);
    taken.push(color);
    return { name, color };
  });
}

class Player {
  readonly #film: Film;
  readonly #actors: Actor[];
  readonly #stage: Stage;
  readonly #slider = find<HTMLInputElement>("#moment");
  readonly #play = find<HTMLButtonElement>("#play");
  readonly #clock = find("#clock");
  readonly #reel = find("#reel");
  readonly #shares: HTMLElement[] = [];
  readonly #times = timeFormat();
  #moment: number;
  #shown = -1;
  #speed = 1;
  #playing = false;
  #last = 0;

  constructor(frame: PageFrame, film: Film) {
    this.#film = film;
    this.#actors = castOf(film);
    const languages = new Languages(
      frame.language,
      (chosen) => void languages.show(chosen),
      () => frame.languageFailed(),
    );
    this.#stage = new Stage(frame.editor, this.#actors, languages);
    frame.tools.attach({
      find: () => this.#stage.find(),
      file: () => ({ text: this.#stage.text, ending: languages.ending }),
    });
    frame.tools.ready();
    void languages.show(memory.get("language"));
    this.#listCast();
    drawReel(find<HTMLElement>("#strip"), film, this.#actors);
    this.#slider.max = String(film.length);
    this.#listen();
    // The whole text first: it says what there is to be seen. Playing begins at the beginning.
    this.#moment = film.length;
    this.#show();
    this.#reel.dataset["edits"] = String(film.count);
    if (film.count > 0) this.#enable();
    else this.#clock.textContent = "Nothing has been typed here yet";
    this.#play.focus();
  }

  #enable(): void {
    for (const control of find("#player").querySelectorAll<HTMLButtonElement | HTMLInputElement>("button, input")) {
      control.disabled = false;
    }
  }

  #listCast(): void {
    const list = find("#cast");
    // It scrolls where it is longer than its line, which the arrow keys can do once it has the focus.
    list.tabIndex = 0;
    list.replaceChildren(
      ...this.#actors.map(({ name, color }) => {
        const item = document.createElement("li");
        item.dataset["author"] = name;
        paint(item, color);
        const share = document.createElement("span");
        share.className = "share";
        this.#shares.push(share);
        item.append(...portrait(name), share);
        return item;
      }),
    );
  }

  #listen(): void {
    this.#play.addEventListener("click", () => this.#toggle());
    find("#to-start").addEventListener("click", () => this.#seek(0));
    find("#step-back").addEventListener("click", () => this.#step(-1));
    find("#step-on").addEventListener("click", () => this.#step(1));
    this.#slider.addEventListener("input", () => this.#seek(Number(this.#slider.value)));
    for (const choice of document.querySelectorAll<HTMLInputElement>("#speed input")) {
      choice.addEventListener("change", () => {
        this.#speed = Number(choice.value);
      });
    }
    // Before the editor hears of it, which has uses of its own for these keys.
    document.addEventListener("keydown", (event) => this.#key(event), { capture: true });
  }

  #key(event: KeyboardEvent): void {
    const target = event.composedPath()[0] as HTMLElement;
    const elsewhere = target.closest("dialog, select, input:not(#moment), #cast") !== null;
    if (elsewhere || event.ctrlKey || event.metaKey || event.altKey || this.#film.count === 0) return;
    const done = this.#keyDone(event, target);
    if (done) event.preventDefault();
    if (done) event.stopPropagation();
  }

  #keyDone(event: KeyboardEvent, target: HTMLElement): boolean {
    const onSlider = target === this.#slider;
    switch (event.key) {
      case " ":
        // A button that has the focus is what the space bar means.
        if (target.closest("button, a") !== null) return false;
        this.#toggle();
        return true;
      case "ArrowLeft":
      case "ArrowRight":
        this.#arrow(event.key === "ArrowLeft" ? -1 : 1, event.shiftKey);
        return true;
      case "ArrowDown":
      case "ArrowUp":
        if (onSlider) this.#step(event.key === "ArrowDown" ? -1 : 1);
        return onSlider;
      case "PageDown":
      case "PageUp":
        if (onSlider) this.#seek(this.#moment + (event.key === "PageDown" ? -LEAP_MS : LEAP_MS));
        return onSlider;
      case "Home":
      case "End":
        this.#seek(event.key === "Home" ? 0 : this.#film.length);
        return true;
      default:
        return false;
    }
  }

  #arrow(way: 1 | -1, far: boolean): void {
    if (far) this.#seek(this.#moment + way * LEAP_MS);
    else this.#step(way);
  }

  /** One edit on or back. Who steps wants to look: the film stops. */
  #step(way: 1 | -1): void {
    this.#pause();
    const count = this.#film.countAt(this.#moment);
    this.#seek(this.#film.momentOf(Math.min(this.#film.count, Math.max(0, count + way))));
  }

  #seek(moment: number): void {
    this.#moment = Math.min(this.#film.length, Math.max(0, moment));
    this.#show();
  }

  #toggle(): void {
    if (this.#playing) {
      this.#pause();
      return;
    }
    if (this.#moment >= this.#film.length) this.#seek(0);
    this.#playing = true;
    this.#last = performance.now();
    this.#showPlaying();
    requestAnimationFrame((now) => this.#tick(now));
  }

  #pause(): void {
    this.#playing = false;
    this.#showPlaying();
  }

  #tick(now: number): void {
    if (!this.#playing) return;
    const passed = Math.min(LONGEST_STEP_MS, Math.max(0, now - this.#last));
    this.#last = now;
    this.#seek(this.#moment + passed * this.#speed);
    if (this.#moment >= this.#film.length) this.#pause();
    else requestAnimationFrame((next) => this.#tick(next));
  }

  #showPlaying(): void {
    this.#play.setAttribute("aria-label", this.#playing ? "Pause" : "Play");
    this.#play.title = this.#playing ? "Pause (space)" : "Play (space)";
    this.#reel.dataset["playing"] = String(this.#playing);
  }

  #show(): void {
    this.#slider.value = String(this.#moment);
    this.#reel.style.setProperty("--done", `${this.#film.length === 0 ? 0 : (this.#moment / this.#film.length) * 100}%`);
    const count = this.#film.countAt(this.#moment);
    if (count === this.#shown) return;
    this.#shown = count;
    const frame = this.#film.frame(count);
    this.#stage.show(frame, this.#film.by[count - 1]);
    this.#shares.forEach((share, place) => {
      const letters = frame.runs.reduce((sum, run) => sum + (run.by === place ? run.length : 0), 0);
      share.textContent = letters.toLocaleString();
      share.title = "letters of the text as it is now";
    });
    this.#tellTime(count);
  }

  #tellTime(count: number): void {
    const at = this.#film.timeOf(count);
    const time = at === null ? "" : this.#times.format(at);
    const by = this.#actors[this.#film.by[count - 1] ?? -1];
    this.#clock.replaceChildren();
    const clock = document.createElement("time");
    clock.textContent = time;
    if (at !== null) clock.dateTime = new Date(at).toISOString();
    const edit = document.createElement("span");
    edit.className = "edit";
    edit.textContent = count === 0 ? "before the first edit" : `edit ${count} of ${this.#film.count}`;
    this.#clock.append(clock, edit);
    this.#reel.dataset["edit"] = String(count);
    const author = by ? `, ${by.name}` : "";
    this.#slider.setAttribute("aria-valuetext", `${time}, ${edit.textContent}${author}`);
  }
}

function timeFormat(): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
