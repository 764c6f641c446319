/** What can be done with the text of one moment: link to it, copy it, restore it. */
import { find, type Frame } from "../frame";
import { isViewersToken } from "../token";
import { copyText } from "../trouble/rescue";
import { Restoration } from "./restore";

export interface Moment {
  text: string;
  /** For people. */
  time: string;
  /** The address of this moment. */
  link: string;
  /** Whether the room has had no edit since. */
  latest: boolean;
}

/** How long a button says that it has done it. */
const DONE_MS = 1800;

export class Version {
  readonly #moment: () => Moment;
  readonly #restore = find<HTMLButtonElement>("#restore");
  readonly #frame: Frame;
  /** Why nothing can be restored; "" if it can. */
  #locked = isViewersToken() ? "You may only look at this room" : "";

  /** `moment` gives what is shown; `changed` is called when the room was changed from here. */
  constructor(frame: Frame, room: string, changed: () => void, moment: () => Moment) {
    this.#frame = frame;
    this.#moment = moment;
    const restoration = new Restoration(frame, room, changed, (reason) => this.lock(reason));
    this.#copies("#copy-moment", "Link copied", () => moment().link);
    this.#copies("#copy-text", "Text copied", () => moment().text);
    this.#restore.addEventListener("click", () => void restoration.offer(moment()));
  }

  /** Another moment is shown, or the room has changed. */
  moved(): void {
    for (const button of document.querySelectorAll<HTMLButtonElement>(".version button")) button.disabled = false;
    const reason = this.#locked || (this.#moment().latest ? "This is the text as it is now" : "");
    this.#restore.disabled = reason !== "";
    this.#restore.title = reason || "Let everybody in the room have this text again";
  }

  /** Offer no restoring from now on, for a reason. */
  lock(reason: string): void {
    this.#locked = reason;
    this.moved();
  }

  #copies(selector: string, done: string, what: () => string): void {
    const button = find<HTMLButtonElement>(selector);
    button.addEventListener("click", async () => {
      if (!(await copyText(what()))) return;
      this.#frame.say(done);
      button.dataset["copied"] = "";
      setTimeout(() => delete button.dataset["copied"], DONE_MS);
    });
  }
}
