// y-websocket's unchanged provider from npm, driven by a test: one JSON command a line in, events out.
//   {"do":"connect","id":1,"url":"ws://...","room":...,"options":{...}}   a document and its provider
//   {"do":"online"|"offline"|"destroy","id":1}
//   {"do":"edit","id":1,"edits":[["insert",0,"x"],["delete",0,1],["embed",0,{}],["set","k","v"]]}
//   {"do":"local","id":1,"field":"user","value":{...}}   {"do":"state","id":1,"value":{...}|null}
//   {"do":"mark","id":1,"number":7}   request an answer when everything sent before is stored
//   {"do":"token","id":1,"token":...}   go on with a new token
//   {"do":"raw","id":1,"hex":...}     a frame of any bytes
import { createInterface } from "node:readline";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const STORED = 100;
const TOKEN = 101;
const EXPIRING = 102;
const peers = new Map();
const print = (event) => process.stdout.write(JSON.stringify(event) + "\n");
process.setMaxListeners(0); // each provider listens for the process's exit
// y-websocket's warnings: permission denied, an unknown message, an update that fails.
for (const level of ["warn", "error"]) {
  console[level] = (...words) => print({ what: level, words: words.map(String).join(" ") });
}

/**
 * Return a WebSocket class that counts the bytes of its binary messages.
 * @param {{sent: number, received: number}} bytes
 * @returns {any}
 */
function counting(bytes) {
  return class extends WebSocket {
    /**
     * @param {string} url
     * @param {string[]} protocols
     */
    constructor(url, protocols) {
      super(url, protocols);
      this.on("message", (/** @type {Buffer} */ data) => {
        bytes.received += data.byteLength;
      });
    }
    /** @param {Uint8Array} data */
    send(data) {
      bytes.sent += data.byteLength;
      super.send(data);
    }
  };
}

function connect({ id, url, room, options }) {
  const doc = new Y.Doc();
  const text = doc.getText("code");
  const map = doc.getMap("settings");
  const bytes = { sent: 0, received: 0 };
  const provider = new WebsocketProvider(url, room, doc, {
    WebSocketPolyfill: counting(bytes), disableBc: true, maxBackoffTime: 200, ...options,
  });
  peers.set(id, { doc, text, map, provider });
  const printDoc = () =>
    print({ id, what: "doc", text: text.toString(), length: text.length, map: map.toJSON(), bytes });
  doc.on("update", printDoc);
  provider.awareness.on("change", () => {
    const states = Object.fromEntries(provider.awareness.getStates());
    delete states[doc.clientID];
    print({ id, what: "states", states });
  });
  provider.on("status", ({ status }) => print({ id, what: status }));
  provider.on("sync", (synced) => print({ id, what: synced ? "synced" : "unsynced" }));
  provider.on("connection-close", (event) => print({ id, what: "close", code: event?.code, reason: event?.reason }));
  provider.on("closed", (event) => print({ id, what: "final", ...event }));
  provider.messageHandlers[STORED] = (_encoder, decoder) => {
    const number = decoding.readVarUint(decoder);
    print({ id, what: "stored", number, node: decoding.readVarString(decoder) });
  };
  provider.messageHandlers[TOKEN] = (_encoder, decoder) => {
    const reason = decoding.readVarString(decoder);
    print({ id, what: "token", reason, expires_in: decoding.readVarUint(decoder) });
  };
  provider.messageHandlers[EXPIRING] = (_encoder, decoder) => {
    print({ id, what: "expiring", expires_in: decoding.readVarUint(decoder) });
  };
  print({ id, what: "client", client: doc.clientID });
}

const edits = {
  insert: ({ text }, at, what) => text.insert(at, what),
  append: ({ text }, what) => text.insert(text.length, what),
  delete: ({ text }, at, count) => text.delete(at, count),
  embed: ({ text }, at, what) => text.insertEmbed(at, what),
  set: ({ map }, key, value) => map.set(key, value),
};

const commands = {
  connect,
  online: ({ id }) => peers.get(id).provider.connect(),
  offline: ({ id }) => peers.get(id).provider.disconnect(),
  destroy({ id }) {
    const { provider, doc } = peers.get(id);
    provider.destroy();
    doc.destroy();
  },
  edit({ id, edits: list }) {
    const peer = peers.get(id);
    peer.doc.transact(() => {
      for (const [what, ...given] of list) edits[what](peer, ...given);
    });
  },
  local: ({ id, field, value }) => peers.get(id).provider.awareness.setLocalStateField(field, value),
  state: ({ id, value }) => peers.get(id).provider.awareness.setLocalState(value),
  mark({ id, number }) {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, STORED);
    encoding.writeVarUint(encoder, number);
    peers.get(id).provider.ws.send(encoding.toUint8Array(encoder));
  },
  token({ id, token }) {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, TOKEN);
    encoding.writeVarString(encoder, token);
    const { provider } = peers.get(id);
    provider.params = { ...provider.params, token }; // for the next connection
    provider.ws.send(encoding.toUint8Array(encoder));
  },
  raw: ({ id, hex }) => peers.get(id).provider.ws.send(Buffer.from(hex, "hex")),
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
print({ what: "ready" });
