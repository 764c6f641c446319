// What every Yjs editor needs: one document, connected to one room until it is closed.
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

export interface Place {
  /** Of the service: "https://collab.example" */
  url: string;
  room: string;
  user: { name: string; color: string };
  /** Only where the service asks for tokens. It is called again when the token has expired. */
  getToken?: () => Promise<string>;
  /** The service has ended the connection for good; docs/yjs.md lists the codes. */
  onEnd?: (code: number, reason: string) => void;
}

export function openRoom({ url, room, user, getToken, onEnd }: Place) {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`${url.replace(/^http/, "ws")}/yjs`, room, doc, {
    connect: false,
    disableBc: true, // tabs of one browser meet at the service, which knows who may write
  });
  provider.awareness.setLocalStateField("user", user);

  let open = true;
  async function connect() {
    const token = await getToken?.();
    if (!open) return; // closed while we waited for the token
    provider.params = { name: user.name, ...(token && { token }) };
    provider.connect();
  }
  provider.messageHandlers[102] = () => {}; // the token expires soon: it is renewed when it has
  provider.on("closed", ({ code, reason }) => {
    if (code === 4401 && reason.startsWith("token_expired")) connect(); // with the same document
    else onEnd?.(code, reason);
  });
  connect();

  return {
    text: doc.getText("code"),
    awareness: provider.awareness,
    close() {
      open = false;
      provider.destroy();
      doc.destroy();
    },
  };
}
