/** The wire: one y-websocket connection to one room, and what of our typing is safely stored. */
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { WebsocketProvider } from "y-websocket";
import type { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import type { State } from "../badge";
import { expiring, type Refusal } from "../notices";
import type { Member } from "../presence";
import { onNewToken, shownToken } from "../token";
import { People } from "./people";

/** What the session asks of the page around it. */
export interface Screen {
  state(state: State, node: string): void;
  members(members: Member[], ownId: string): void;
  joined(): void;
  /** Some of our edits are stored, others not yet. */
  progress(): void;
  refused(error: Refusal): void;
  recovered(): void;
  /** The room lets us look and not type; `strayed` if our document has edits that it refused. */
  denied(strayed: boolean): void;
  /** The room is over, or not for us: what is on the screen is all that is left of it. */
  ended(): void;
}

const AUTH = 2;
/** A message type of this service: we send a number, and get it back when everything sent before is in Redis. */
const STORED = 100;
/** We send a new token, and get why it was refused, or "", and how long it is good for. */
const TOKEN = 101;
/** The node tells in how many seconds our token runs out. */
const EXPIRING = 102;
/** No token, or one that is not accepted: a new one connects. */
const UNAUTHORIZED = 4401;
/** Not for us, or somebody has removed us. */
const NOT_ALLOWED = 4403;
const ROOM_CLOSED = 4410;
/** Longer than the node takes to answer, unless Redis is away or the question was lost. */
const ASK_AGAIN_MS = 5000;
/** The room's text would be larger than it may be, or what we sent at once was: the same again helps nothing. */
const TOO_LARGE = new Set([4413, 1009]);
/** A room that is full, or an update that the node cannot read: show why, and try again. */
const TRY_LATER = 1013;
const SAID_WHY = new Set([1002, 1003, 1007, 1008, 1011, TRY_LATER]);
/** Codes that y-websocket's convention makes final, after HTTP's. */
const isFinal = (code: number) => code >= 4400 && code < 4500;

export class Session {
  readonly text: Y.Text;
  readonly settings: Y.Map<unknown>;
  readonly undo: Y.UndoManager;
  readonly awareness: Awareness;
  readonly #doc = new Y.Doc();
  readonly #provider: WebsocketProvider;
  readonly #people: People;
  readonly #screen: Screen;
  readonly #gone = new AbortController();
  #node = "";
  #everSynced = false;
  #viewer: boolean;
  #closed = false;
  /** The token of the last attempt to connect. */
  #shown = shownToken().token;
  /** The length of the text that was too large; a shorter one may be tried. */
  #oversize: number | undefined;
  /** Local edits are counted; an answer covers those that were made when the question was sent. */
  #edits = 0;
  #storedEdits = 0;
  #asked = false;
  #again: ReturnType<typeof setTimeout> | undefined;

  /** `viewer`: it is known already that the room refuses what we type. */
  constructor(room: string, name: string, viewer: boolean, screen: Screen) {
    this.#viewer = viewer;
    this.#screen = screen;
    this.text = this.#doc.getText("code");
    this.settings = this.#doc.getMap("settings");
    // Of the text alone: nobody expects undo to change the language.
    this.undo = new Y.UndoManager(this.text);
    // Without the channel between tabs: what is on the screen is what the room has, and what we typed.
    this.#provider = new WebsocketProvider(endpointUrl(), room, this.#doc, {
      disableBc: true,
      connect: false,
      shouldReconnect: ({ code }) => !isFinal(code) && !TOO_LARGE.has(code),
      // For the history: awareness is what one looks like now, this is who one came in as.
      params: { name, ...shownToken() },
    });
    this.awareness = this.#provider.awareness;
    this.#people = new People(this.awareness, name);
    this.#handleMessages();
    this.#provider.on("status", ({ status }) => {
      if (status === "connecting") this.#shown = shownToken().token;
      this.#connectionChanged();
    });
    this.#provider.on("sync", () => this.#connectionChanged());
    this.#provider.on("connection-close", (event) => {
      // The node's reason for closing; the client connects again, and the notice goes when the node answers.
      if (event && SAID_WHY.has(event.code) && event.reason) {
        this.#screen.refused({ message: event.reason, code: event.code === TRY_LATER ? "busy" : "misunderstood" });
      }
    });
    this.#provider.on("closed", ({ code, reason }) => this.#turnedAway(code, reason));
    this.#doc.on("update", (_update: Uint8Array, _origin: unknown, _doc: Y.Doc, transaction: Y.Transaction) => {
      if (transaction.local) this.#edited();
    });
    this.awareness.on("change", () => this.#screen.members(this.#people.members, String(this.awareness.clientID)));
    this.#watchNetwork();
    onNewToken(() => this.#renew());
    this.#provider.connect();
    this.#report();
  }

  get unsaved(): boolean {
    return this.#storedEdits < this.#edits;
  }

  /** Make an edit that was prepared on a copy of the document. It is ours, and can be undone. */
  merge(update: Uint8Array): void {
    Y.applyUpdate(this.#doc, update, null);
    this.#edited();
  }

  rename(name: string): void {
    this.#provider.params = { name, ...shownToken() };
    this.#people.rename(name);
  }

  close(): void {
    this.#gone.abort();
    onNewToken(() => undefined);
    clearTimeout(this.#again);
    this.#people.close();
    this.#provider.destroy();
    this.#doc.destroy();
  }

  #handleMessages(): void {
    const handlers = this.#provider.messageHandlers;
    handlers[AUTH] = (_encoder, decoder) => {
      if (decoding.readVarUint(decoder) === 0) this.#denied();
    };
    handlers[TOKEN] = (_encoder, decoder) => {
      const reason = decoding.readVarString(decoder);
      if (reason === "") this.#screen.recovered();
      else this.#screen.refused({ message: reason, code: "token" });
    };
    handlers[EXPIRING] = (_encoder, decoder) => this.#screen.refused(expiring(decoding.readVarUint(decoder)));
    handlers[STORED] = (_encoder, decoder) => {
      this.#stored(decoding.readVarUint(decoder), decoding.readVarString(decoder));
    };
  }

  /** What a viewer was shown may not be what an editor has: that page begins again. */
  #renew(): void {
    const { params, ws, wsconnected } = this.#provider;
    const { token } = shownToken();
    if (this.#viewer || this.#closed || token === undefined) {
      location.reload();
      return;
    }
    this.#provider.params = { ...params, token };
    if (!wsconnected || ws === null) {
      this.#provider.connect();
      return;
    }
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, TOKEN);
    encoding.writeVarString(encoder, token);
    ws.send(encoding.toUint8Array(encoder) as Uint8Array<ArrayBuffer>);
  }

  #watchNetwork(): void {
    const { signal } = this.#gone;
    // A socket may take minutes to find out what the browser knows at once, whether it is gone or back.
    const afresh = () => {
      if (this.#closed || this.#oversize !== undefined) return;
      this.#provider.disconnect();
      this.#provider.connect();
    };
    window.addEventListener("offline", afresh, { signal });
    window.addEventListener("online", () => this.#provider.wsconnected || afresh(), { signal });
    // A page that is closed says so: the others need not wait for its silence.
    window.addEventListener("pagehide", () => this.#provider.disconnect(), { signal });
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.#provider.connect(), { signal });
  }

  // What of ours is stored

  #edited(): void {
    this.#edits += 1;
    if (this.#oversize !== undefined && this.text.length < this.#oversize) {
      this.#oversize = undefined;
      this.#screen.recovered();
      this.#provider.connect();
    }
    this.#ask();
    this.#report();
  }

  /** One question at a time: its answer brings the next, so that typing fast costs no more of them. */
  #ask(): void {
    const { ws, synced } = this.#provider;
    if (this.#asked || !synced || ws === null) return;
    this.#asked = true;
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, STORED);
    encoding.writeVarUint(encoder, this.#edits);
    ws.send(encoding.toUint8Array(encoder) as Uint8Array<ArrayBuffer>);
    this.#again = setTimeout(() => {
      this.#asked = false;
      this.#ask();
    }, ASK_AGAIN_MS);
  }

  #stored(edits: number, node: string): void {
    this.#asked = false;
    clearTimeout(this.#again);
    this.#node = node;
    this.#storedEdits = Math.max(this.#storedEdits, edits);
    if (this.unsaved) {
      this.#screen.progress();
      this.#ask();
    }
    this.#report();
  }

  // The connection

  #connectionChanged(): void {
    if (!this.#provider.wsconnected) {
      this.#asked = false;
      clearTimeout(this.#again);
      this.#people.left();
    } else if (this.#provider.synced) {
      this.#people.arrived();
      this.#everSynced = true;
      if (!this.#viewer) this.#screen.joined();
      this.#screen.recovered();
      this.#ask();
    }
    this.#report();
  }

  #denied(): void {
    this.#viewer = true;
    this.#screen.denied(this.#edits > 0);
    this.#report();
  }

  #turnedAway(code: number, reason: string): void {
    if (code === UNAUTHORIZED && this.#shown !== shownToken().token) {
      // The next token came while the last was on its way.
      this.#provider.connect();
      return;
    }
    if (TOO_LARGE.has(code)) this.#oversize = this.text.length;
    else if (code === UNAUTHORIZED) this.#screen.ended();
    else {
      this.#closed = true;
      this.#storedEdits = this.#edits;
      this.#screen.ended();
    }
    this.#screen.refused({ message: reason || "The room has closed the connection.", code: this.#wordOf(code) });
    this.#report();
  }

  /** The word of the Socket.IO contract for the same refusal. */
  #wordOf(code: number): string {
    if (TOO_LARGE.has(code)) return "code_too_large";
    if (code === UNAUTHORIZED) return "unauthorized";
    if (code === NOT_ALLOWED) return this.#everSynced ? "removed" : "not_allowed";
    return code === ROOM_CLOSED ? "room_closed" : `closed_${code}`;
  }

  #report(): void {
    this.#screen.state(this.#state(), this.#node);
  }

  #state(): State {
    if (this.#closed) return "closed";
    if (this.#oversize !== undefined) return "unsaved";
    if (!this.#provider.synced) return this.#everSynced ? "offline" : "connecting";
    if (this.#viewer) return "viewing";
    if (this.unsaved) return "saving";
    if (this.#node === "") return "connecting";
    return this.#edits > 0 ? "saved" : "connected";
  }
}

function endpointUrl(): string {
  const address = new URL("yjs", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  return address.href;
}
