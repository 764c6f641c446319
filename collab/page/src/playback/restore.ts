/** Puts an earlier text back into the live room: asks first, and can be undone. */
import type { State } from "../badge";
import { find, type Frame } from "../frame";
import { sentenceOf } from "../trouble/words";
import type { Session } from "../yjs/session";
import { type Rewrite, rewrite } from "./rewrite";
import type { Moment } from "./version";

/** The room must be reached in this time, to be changed. */
const PATIENCE_MS = 15_000;
/** We stay in the room for so long after a change, so that it can be undone. */
const UNDO_MS = 120_000;
const OVER = "The room can't be changed any more.";
const DENIED = "This room lets you look and not type. Nothing was changed.";

/**
 * `asking`: the room is being entered, or the dialog is open; `changing`: the edit is under way; `changed`:
 * it is stored, and can be undone.
 */
type Phase = "idle" | "asking" | "changing" | "changed";

export class Restoration {
  readonly #dialog = find<HTMLDialogElement>("#restore-dialog");
  readonly #strip = find("#restored");
  readonly #words = find("#restored .words");
  readonly #undo = find<HTMLButtonElement>("#undo-restore");
  #phase: Phase = "idle";
  #session: Session | undefined;
  #time = "";
  #rewrite: Rewrite | undefined;
  #leaving: ReturnType<typeof setTimeout> | undefined;

  /** `changed` is called when the room has an edit from here; `denied` when it takes none. */
  constructor(
    private readonly frame: Frame,
    private readonly room: string,
    private readonly changed: () => void,
    private readonly denied: (reason: string) => void,
  ) {
    frame.dirty = () => this.#session?.unsaved ?? false;
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.returnValue === "restore") this.#change();
      else this.#leave();
    });
    this.#undo.addEventListener("click", () => {
      this.#undo.hidden = true;
      this.#session?.undo.undo();
      this.#say("Undone.");
    });
    find("#close-restore").addEventListener("click", () => this.#leave());
  }

  /** Ask whether to restore the text of a moment. A second call while that is under way does nothing. */
  async offer({ text, time }: Moment): Promise<void> {
    if (this.#phase === "asking" || this.#phase === "changing") return;
    this.#leave();
    this.#phase = "asking";
    this.#say("Entering the room…");
    try {
      this.#session = await this.#enter();
    } catch (problem) {
      this.#leave();
      this.frame.notices.show({ message: String(problem instanceof Error ? problem.message : problem), code: "restore" });
      return;
    }
    this.#strip.hidden = true;
    this.#time = time;
    this.#rewrite = rewrite(this.#session.text, text) ?? undefined;
    if (this.#rewrite === undefined) {
      this.#leave();
      this.frame.notices.show({ message: "The room has this text already.", code: "restore" });
      return;
    }
    find("#restore-words").textContent = consequence(this.#rewrite, time);
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }

  /** Come into the room as one who may edit it. Throws an Error with words for people. */
  async #enter(): Promise<Session> {
    const { Session } = await import("../yjs/session");
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => {
        session.close();
        reject(new Error(reason));
      };
      const late = setTimeout(() => fail("The room can't be reached now. Nothing was changed."), PATIENCE_MS);
      const session: Session = new Session(this.room, this.frame.name, false, {
        joined: () => {
          clearTimeout(late);
          resolve(session);
        },
        state: (state) => this.#report(state),
        members: () => undefined,
        progress: () => undefined,
        recovered: () => undefined,
        refused: (error) => this.frame.notices.show({ message: sentenceOf(error), code: "restore" }),
        denied: () => this.#refused(DENIED),
        ended: () => {
          clearTimeout(late);
          fail(OVER);
          this.#refused(OVER);
        },
      });
    });
  }

  #change(): void {
    const [session, made] = [this.#session, this.#rewrite];
    if (this.#phase !== "asking" || session === undefined || made === undefined) return;
    this.#phase = "changing";
    this.#undo.hidden = true;
    this.#say("Restoring…");
    session.merge(made.update);
  }

  /** Tell whether what we did is stored. */
  #report(state: State): void {
    if (this.#phase !== "changing" || this.#session === undefined) return;
    // The text would be too large: the notice has the service's reason.
    if (state === "unsaved") this.#leave();
    if (state !== "saved") return;
    this.#phase = "changed";
    this.#undo.hidden = false;
    this.#say(`Restored: everybody in the room has the text of ${this.#time} again, with what was typed meanwhile.`);
    this.#leaving = setTimeout(() => this.#leave(), UNDO_MS);
    this.changed();
  }

  #refused(reason: string): void {
    const news = this.#phase === "asking" || this.#phase === "changing";
    this.#dialog.close();
    this.#leave();
    if (!news) return;
    this.denied(reason);
    this.frame.notices.show({ message: reason, code: "restore" });
  }

  #say(words: string): void {
    this.#strip.hidden = false;
    this.#words.textContent = words;
  }

  /** Be no member of the room any more. */
  #leave(): void {
    clearTimeout(this.#leaving);
    this.#strip.hidden = true;
    this.#undo.hidden = true;
    this.#phase = "idle";
    this.#rewrite = undefined;
    if (this.#session === undefined) return;
    this.#session.close();
    this.#session = undefined;
  }
}

function consequence({ removed, added, places }: Rewrite, time: string): string {
  const letters = (count: number) => `${count.toLocaleString()} ${count === 1 ? "letter" : "letters"}`;
  const parts = [removed && `removes ${letters(removed)}`, added && `adds ${letters(added)}`].filter(Boolean);
  const where = places === 1 ? "in one place" : `in ${places.toLocaleString()} places`;
  return `Everybody in the room gets the text of ${time} again. This ${parts.join(" and ")}, ${where}. What others type meanwhile stays.`;
}
