/** The controls of playback: play, pause, seek, step, speed, and going on with the room. */
import { find, type Frame } from "../frame";
import { Languages } from "../language";
import { memory } from "../room";
import { PAUSE_MS } from "./film";
import { Legend } from "./legend";
import { linkToMoment, locate, momentOfAddress } from "./moment";
import { drawReel } from "./reel";
import { Stage } from "./stage";
import type { Story } from "./story";
import { Version } from "./version";

/** How far a page key goes in the film. */
const LEAP_MS = 5000;
/** A tab in the background stands still; the film then waits with it. */
const LONGEST_STEP_MS = 250;
/** The address names a moment once nobody has moved for this long; browsers limit how often it may change. */
const SETTLED_MS = 500;
const SKIP_PAUSES = "skip-pauses";

export class Player {
  #story: Story;
  readonly #room: string;
  readonly #poke: () => void;
  readonly #stage: Stage;
  readonly #legend = new Legend();
  readonly #version: Version;
  readonly #slider = find<HTMLInputElement>("#moment");
  readonly #play = find<HTMLButtonElement>("#play");
  readonly #live = find<HTMLButtonElement>("#live");
  readonly #skip = find<HTMLInputElement>("#skip-pauses");
  readonly #clock = find("#clock");
  readonly #reel = find("#reel");
  readonly #times = timeFormat();
  #moment = 0;
  /** The edit that is shown, and of which story. */
  #shown = -1;
  #following = true;
  #ended = false;
  #speed = 1;
  #playing = false;
  #last = 0;
  #settling: ReturnType<typeof setTimeout> | undefined;

  /** `poke` asks for the room's news now. */
  constructor(frame: Frame, room: string, story: Story, poke: () => void) {
    this.#story = story;
    this.#room = room;
    this.#poke = poke;
    const languages = new Languages(
      frame.language,
      (chosen) => void languages.show(chosen),
      () => frame.languageFailed(),
    );
    this.#stage = new Stage(frame.editor, (by) => this.#story.cast.actor(by), languages);
    void languages.show(memory.get("language"));
    frame.tools.attach({
      find: () => this.#stage.find(),
      file: () => ({ text: this.#stage.text, ending: languages.ending }),
    });
    frame.tools.ready();
    this.#version = new Version(frame, room, () => this.#catchUp(), () => ({
      text: this.#film.frame(this.#count).text,
      time: this.#timeOf(this.#count),
      link: linkToMoment(room, this.#film, this.#count),
      latest: this.#count === this.#film.count,
    }));
    this.#skip.checked = memory.get(SKIP_PAUSES) !== "no";
    this.#skip.parentElement?.setAttribute("title", `Pauses longer than ${PAUSE_MS / 1000} s play as ${PAUSE_MS / 1000} s`);
    this.#listen();
    const at = momentOfAddress();
    this.#begin(at === null ? null : this.#placeOf(frame, at));
    this.#play.focus();
  }

  get #film() {
    return this.#story.film;
  }

  get #count(): number {
    return this.#film.countAt(this.#moment);
  }

  /** The story has more edits. Whoever is at its end stays at its end, everybody else where they are. */
  extended(): void {
    this.#refresh();
    if (this.#following && !this.#playing) this.#moment = this.#film.length;
    this.#show();
  }

  /** Show another story, at the same moment if it has that. */
  replaced(story: Story): void {
    const edit = this.#film.edit(this.#count);
    this.#story = story;
    this.#ended = false;
    this.#version.lock("");
    const count = edit && (story.film.countOf(edit.id) ?? story.film.countAtTime(edit.at));
    this.#begin(this.#following ? null : (count ?? 0));
  }

  /** Say why there is no news, "" if there may be. */
  trouble(message: string): void {
    const line = find("#trouble");
    line.hidden = message === "";
    if (line.textContent !== message) line.textContent = message;
  }

  /** The room is over. */
  end(message: string): void {
    this.trouble(message);
    this.#ended = true;
    this.#version.lock(message);
    this.#pressLive();
  }

  /** The room was changed from here: show it. */
  #catchUp(): void {
    this.#goLive();
    this.#poke();
  }

  #begin(count: number | null): void {
    this.#shown = -1;
    this.#film.skipping = this.#skip.checked;
    this.#refresh();
    // The whole text first: it says what there is to be seen. Playing begins at the beginning.
    this.#following = count === null;
    this.#moment = count === null ? this.#film.length : this.#film.momentOf(count);
    this.#show();
  }

  #placeOf(frame: Frame, at: string): number {
    const { count, problem } = locate(this.#film, at, this.#times);
    if (problem !== "") frame.notices.show({ message: problem, code: "moment" });
    return count;
  }

  /** Draw what depends on how many edits there are. */
  #refresh(): void {
    this.#legend.list(this.#story.cast.actors);
    drawReel(find<HTMLElement>("#strip"), this.#story);
    this.#slider.max = String(this.#film.length);
    this.#reel.dataset["edits"] = String(this.#film.count);
    for (const control of find("#player").querySelectorAll<HTMLButtonElement | HTMLInputElement>(".of-edits")) {
      control.disabled = this.#film.count === 0;
    }
    this.#shown = -1;
  }

  #listen(): void {
    this.#play.addEventListener("click", () => this.#toggle());
    find("#to-start").addEventListener("click", () => this.#seek(0));
    find("#step-back").addEventListener("click", () => this.#step(-1));
    find("#step-on").addEventListener("click", () => this.#step(1));
    this.#live.addEventListener("click", () => this.#goLive());
    this.#slider.addEventListener("input", () => this.#seek(Number(this.#slider.value)));
    for (const choice of document.querySelectorAll<HTMLInputElement>("#speed input")) {
      choice.addEventListener("change", () => {
        this.#speed = Number(choice.value);
      });
    }
    this.#skip.addEventListener("change", () => {
      memory.set(SKIP_PAUSES, this.#skip.checked ? null : "no");
      this.#begin(this.#following ? null : this.#count);
    });
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
    const count = Math.max(0, this.#count + way);
    // The last edit is the end: from there on the film goes on with the room.
    this.#seek(count >= this.#film.count ? this.#film.length : this.#film.momentOf(count));
  }

  #goLive(): void {
    this.#seek(this.#film.length);
    this.#pause();
  }

  #seek(moment: number): void {
    this.#moment = Math.min(this.#film.length, Math.max(0, moment));
    this.#following = this.#moment >= this.#film.length;
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
    this.#settle();
  }

  #tick(now: number): void {
    if (!this.#playing) return;
    const passed = Math.min(LONGEST_STEP_MS, Math.max(0, now - this.#last));
    this.#last = now;
    this.#seek(this.#moment + passed * this.#speed);
    if (this.#following) this.#pause();
    else requestAnimationFrame((next) => this.#tick(next));
  }

  #showPlaying(): void {
    this.#play.setAttribute("aria-label", this.#playing ? "Pause" : "Play");
    this.#play.title = this.#playing ? "Pause (space)" : "Play (space)";
    this.#reel.dataset["playing"] = String(this.#playing);
  }

  #show(): void {
    const { length } = this.#film;
    this.#slider.value = String(this.#moment);
    this.#reel.style.setProperty("--done", `${length === 0 ? 0 : (this.#moment / length) * 100}%`);
    this.#pressLive();
    this.#settle();
    const count = this.#count;
    if (count === this.#shown) return;
    this.#shown = count;
    const frame = this.#film.frame(count);
    this.#stage.show(frame, this.#film.edit(count)?.by ?? -1);
    this.#legend.share(frame.runs, this.#story.cast);
    this.#version.moved();
    this.#tellTime(count);
  }

  #pressLive(): void {
    const live = this.#following && !this.#ended;
    this.#live.setAttribute("aria-pressed", String(live));
    this.#live.title = live ? "Playback goes on as the room changes" : "To the end, and on as the room changes (End)";
  }

  /** Let the address name what is shown, so that a reload shows it again. */
  #settle(): void {
    clearTimeout(this.#settling);
    if (this.#playing) return;
    this.#settling = setTimeout(() => {
      const link = linkToMoment(this.#room, this.#film, this.#following ? null : this.#count);
      if (link !== location.href) history.replaceState(history.state, "", link);
    }, SETTLED_MS);
  }

  #timeOf(count: number): string {
    const at = this.#film.timeOf(count);
    return at === null ? "" : this.#times.format(at);
  }

  #tellTime(count: number): void {
    const at = this.#film.timeOf(count);
    const { count: all } = this.#film;
    this.#reel.dataset["edit"] = String(count);
    if (all === 0) {
      this.#clock.textContent = "Nothing has been typed here yet";
      return;
    }
    const clock = document.createElement("time");
    clock.textContent = this.#timeOf(count);
    if (at !== null) clock.dateTime = new Date(at).toISOString();
    const edit = document.createElement("span");
    edit.className = "edit";
    edit.textContent = count === 0 ? "before the first edit" : `edit ${count} of ${all}`;
    this.#clock.replaceChildren(clock, edit);
    const actor = this.#story.cast.actor(this.#film.edit(count)?.by ?? -1);
    const author = actor ? `, ${actor.name}` : "";
    this.#slider.setAttribute("aria-valuetext", `${clock.textContent}, ${edit.textContent}${author}`);
  }
}

function timeFormat(): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
