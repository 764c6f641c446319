// A page with y-websocket's unchanged provider from npm.
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { Person } from "./person.mjs";

process.setMaxListeners(0); // each provider listens for the process's exit

export class YjsPage extends Person {
  doc = new Y.Doc();
  code = this.doc.getText("code");

  /**
   * @param {any} plan this member's part of the plan
   * @param {number} seed
   */
  constructor({ url, ...member }, seed) {
    super(member, seed);
    const endpoint = url.replace("http", "ws") + "/yjs";
    const WebSocketPolyfill = /** @type {any} */ (WebSocket);
    this.provider = new WebsocketProvider(endpoint, member.room, this.doc, { WebSocketPolyfill, disableBc: true });
    this.provider.on("connection-close", (event) => this.closed(event));
    this.doc.on("update", (_update, origin) => {
      this.lastReceived = Date.now();
      if (origin === this.provider) this.trace("receive", this.text);
    });
  }

  ready() {
    return new Promise((resolve) => this.provider.once("sync", resolve)).then(() =>
      this.provider.on("sync", (synced) => (this.report.returns += Number(synced))));
  }

  closed(event) {
    this.trace("disconnect", event?.code);
    this.report.disconnects.push(`${event?.code} ${event?.reason}`);
  }

  get text() {
    return this.code.toString();
  }

  get online() {
    return this.provider.synced;
  }

  enter(text, splices) {
    this.doc.transact(() => {
      for (const { before, deleted, inserted } of splices) {
        const start = before.join("").length;
        this.code.delete(start, deleted.join("").length);
        this.code.insert(start, inserted.join(""));
      }
    });
    this.report.changes += 1;
    this.trace("send", text);
  }

  get resting() {
    return this.online && super.resting;
  }
}
