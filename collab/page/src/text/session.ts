/** The wire: one Socket.IO connection to one room, and what of our text the room has. */
import { io, type Socket } from "socket.io-client";
import type { State } from "../badge";
import { expiring, type Refusal } from "../notices";
import type { Member } from "../presence";
import { onNewToken, shownToken } from "../token";
import { fieldsOf, nameFrom, personFrom, sentenceFrom, wordFrom } from "../untrusted";

type Answer = { ok: true; node: string } | { ok: false; error: Refusal };

/** What the session asks of the page around it. */
export interface Screen {
  text(): string;
  /** Synchronous: the server places our edits by what had been shown before them. */
  show(code: string, about: { unsaved: boolean; refused: boolean }): void;
  joined(): void;
  state(state: State, node: string): void;
  members(members: Member[], ownId: string | undefined): void;
  /** Some of our edits are stored, others not yet. */
  progress(): void;
  refused(error: Refusal): void;
  recovered(): void;
  /** The room lets us look and not type. */
  denied(): void;
  /** The room is over: what is on the screen is all that is left of it. */
  ended(): void;
}

/** Refusals that time heals, so that the page asks again by itself. */
const PASSING = new Set(["rate_limited", "store_unavailable", "room_unreadable", "draining", "node_full"]);
/** Refusals after which we are in the room no more, and must not ask again. */
const OVER = new Set(["room_closed", "removed"]);
/** Long enough not to add to a server's trouble, short enough to be waited for. */
const ASK_AGAIN_MS = 1500;
/** The first and the longest wait between attempts to connect; Socket.IO spreads both at random. */
const RECONNECT_MS = { first: 400, longest: 4000 };

export class Session {
  readonly #room: string;
  readonly #screen: Screen;
  readonly #socket: Socket;
  #name: string;
  #node = "";
  #membership: "none" | "asked" | "joined" | "denied" = "none";
  #everJoined = false;
  /** Local edits are counted; an acknowledgement covers the edit it is for and all before it. */
  #edits = 0;
  #savedEdits = 0;
  #refused = false;
  #viewer = false;
  #unauthorized = false;
  /** The token of the last attempt to connect. */
  #shown: string | undefined;
  /** The edit whose text was more than the server reads at once. */
  #oversized = 0;
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(room: string, name: string, screen: Screen) {
    this.#room = room;
    this.#name = name;
    this.#screen = screen;
    this.#socket = io({
      query: { room },
      auth: (send) => {
        this.#shown = shownToken().token;
        send({ name: this.#name, ...shownToken() });
      },
      reconnectionDelay: RECONNECT_MS.first,
      reconnectionDelayMax: RECONNECT_MS.longest,
    });
    this.#socket.on("connect", () => this.#connected());
    this.#socket.on("disconnect", (reason) => this.#disconnected(reason));
    this.#socket.on("connect_error", (error) => this.#turnedAway(error));
    this.#socket.on("receive", (message: unknown) => {
      const { code } = fieldsOf(message);
      if (typeof code === "string") this.#receive(code);
    });
    this.#socket.on("presence", (message: unknown) => {
      const { room, members } = fieldsOf(message);
      if (room === this.#room && Array.isArray(members)) {
        this.#screen.members(members.flatMap(memberFrom), this.#socket.id);
      }
    });
    this.#socket.on("error", (message: unknown) => {
      const error = refusalFrom(message);
      if (OVER.has(error.code ?? "") && (fieldsOf(message)["room"] ?? this.#room) === this.#room) this.#end();
      // The server hangs up after this one; the same text would only make it hang up again.
      if (error.code === "frame_too_large") this.#oversized = this.#edits;
      this.#screen.refused(error);
    });
    this.#socket.on("expiring", (message: unknown) => this.#screen.refused(expiring(fieldsOf(message)["expires_in"])));
    onNewToken(() => this.#renew());
    // The browser knows that the network is back long before the next attempt is due.
    window.addEventListener("online", () => {
      if (!this.#socket.connected) this.#socket.disconnect().connect();
    });
    this.#report();
  }

  get unsaved(): boolean {
    return this.#savedEdits < this.#edits;
  }

  /**
   * The user edited: the room gets the whole text now, from this very call. Sent later, the text could
   * be sent after a `receive` it knows nothing of, and would delete what that one brought.
   */
  edited(): void {
    this.#edits += 1;
    this.#sendText();
    this.#report();
  }

  /** The server takes a name only with a connection, so a new name means a new connection. */
  rename(name: string): void {
    this.#name = name;
    this.#socket.disconnect().connect();
  }

  /**
   * The order that loses no keystroke. A `join` is answered with the room's text, which replaces what is
   * on the screen. With edits that no acknowledgement has covered, typed offline or lost with the old
   * connection, our text must therefore go first: the server enters us by that `change`, merges it, and
   * sends no older text before. Only when it is acknowledged, so is part of the room, do we `join`, for
   * the presence and the node's name; the text that this brings contains ours. Without such edits
   * `join` comes first, since ours would then be the older text.
   */
  #connected(): void {
    if (this.#unauthorized) this.#screen.recovered();
    this.#unauthorized = false;
    if (!this.unsaved) this.#join();
    else if (this.#edits !== this.#oversized) this.#sendText();
    else this.#refused = true;
    this.#report();
  }

  #disconnected(reason: string): void {
    // Socket.IO would replay what it buffered, old texts included; the newest text is all there is to say.
    this.#socket.sendBuffer = [];
    this.#membership = "none";
    this.#refused = false;
    clearTimeout(this.#again);
    // A node that shuts down sends its clients away; Socket.IO takes that as a wish and would stay away.
    if (reason === "io server disconnect") this.#connectSoon();
    this.#report();
  }

  #turnedAway(error: Error & { data?: unknown }): void {
    // While `active`, it is the network, and Socket.IO tries again; else the server has declined.
    if (!this.#socket.active && this.#shown !== shownToken().token) {
      // The next token came while the last was on its way.
      this.#connectSoon();
    } else if (!this.#socket.active) {
      const refusal = refusalFrom(error.data ?? error);
      this.#screen.refused(refusal);
      // The same token would be refused again; a new one connects.
      if (refusal.code === "unauthorized") {
        this.#unauthorized = true;
        this.#screen.ended();
      } else this.#connectSoon();
    }
    this.#report();
  }

  /** What a viewer was shown may not be what an editor has: that page begins again. */
  #renew(): void {
    if (this.#viewer || this.#membership === "denied") location.reload();
    else if (!this.#socket.connected) this.#socket.connect();
    else
      this.#ask("token", shownToken(), (answer) => {
        if (answer.ok) this.#screen.recovered();
        else this.#screen.refused({ ...answer.error, code: "token" });
      });
  }

  #connectSoon(): void {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#socket.connect(), RECONNECT_MS.first * (1 + Math.random()));
  }

  /** Typing on would begin another room of that name, with the old text. */
  #end(): void {
    this.#membership = "denied";
    this.#savedEdits = this.#edits;
    this.#screen.ended();
    this.#report();
  }

  #join(): void {
    this.#membership = "asked";
    this.#ask("join", { room: this.#room }, (answer) => {
      if (answer.ok) {
        this.#membership = "joined";
        this.#everJoined = true;
        this.#node = answer.node;
        this.#screen.joined();
      } else {
        this.#membership = isPassing(answer.error) ? "none" : "denied";
        this.#refuse(answer.error, () => this.#join());
      }
    });
  }

  #sendText(): void {
    if (!this.#socket.connected) return;
    const edit = this.#edits;
    this.#ask("change", { room: this.#room, code: this.#screen.text() }, (answer) => {
      if (answer.ok) {
        this.#savedEdits = Math.max(this.#savedEdits, edit);
        if (this.unsaved) this.#screen.progress();
        if (this.#refused && !this.unsaved) this.#screen.recovered();
        this.#refused = this.#refused && this.unsaved;
        if (this.#membership === "none") this.#join();
      } else if (answer.error.code === "not_allowed") {
        // The room's text follows and replaces what was typed: nothing is left to be saved.
        this.#viewer = true;
        this.#savedEdits = this.#edits;
        this.#screen.denied();
        if (this.#membership === "none") this.#join();
      } else {
        this.#refused = edit > this.#savedEdits;
        this.#refuse(answer.error, () => {
          if (this.unsaved) this.#sendText();
        });
      }
    });
  }

  #ask(event: string, payload: object, answered: (answer: Answer) => void): void {
    const connection = this.#socket.id;
    this.#socket.emit(event, payload, (answer: unknown) => {
      if (this.#socket.id !== connection) return;
      answered(answerFrom(answer));
      this.#report();
    });
  }

  #refuse(error: Refusal, again: () => void): void {
    this.#screen.refused(error);
    if (!isPassing(error)) return;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => {
      if (this.#socket.connected) again();
    }, ASK_AGAIN_MS);
  }

  #receive(code: string): void {
    this.#screen.show(code, { unsaved: this.unsaved, refused: this.#refused });
  }

  #report(): void {
    this.#screen.state(this.#state(), this.#node);
  }

  #state(): State {
    if (!this.#socket.connected) return this.#everJoined ? "offline" : "connecting";
    if (this.#membership === "denied") return "closed";
    if (this.unsaved) return this.#refused ? "unsaved" : "saving";
    if (this.#membership !== "joined") return "connecting";
    if (this.#viewer) return "viewing";
    return this.#edits > 0 ? "saved" : "connected";
  }
}

function isPassing({ code }: Refusal): boolean {
  return code !== undefined && PASSING.has(code);
}

function answerFrom(said: unknown): Answer {
  const { ok, node, error } = fieldsOf(said);
  return ok === true ? { ok, node: nameFrom(node) } : { ok: false, error: refusalFrom(error) };
}

function refusalFrom(said: unknown): Refusal {
  const { message, code } = fieldsOf(said);
  return { message: sentenceFrom(message) || "The service refused, and did not say why.", code: wordFrom(code) };
}

function memberFrom(said: unknown): Member[] {
  const { id, name, color, node } = fieldsOf(said);
  return typeof id === "string" ? [{ id, node: nameFrom(node), ...personFrom(name, color) }] : [];
}
