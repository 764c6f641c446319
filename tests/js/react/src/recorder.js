// What happens on a page, and when: for the driver, which cannot see it from outside.
//   log: [{at, what, ...}], `at` in ms since the epoch, in the order of what happened:
//     key      a key goes down: {key, pressed}, `pressed` being when the browser had it
//     receive  a `receive` handler is about to run: {code}
//     shown    the editor's text is another one now, for whatever reason: {code}
//     painted  the frame with what was last shown is done; with ?paints in the address
//     sent     a `change` is handed to the socket: {code}
//     pong     a PING is answered
//     gone     the connection ended, or an event was refused: {why}
const paints = new URLSearchParams(location.search).has("paints");
const log = [];
let editor; // {text(), place(offset)}
let connection;

const now = () => performance.timeOrigin + performance.now();

function record(what, more) {
  log.push({ at: now(), what, ...more });
}

addEventListener(
  "keydown",
  ({ key, timeStamp }) => record("key", { key, pressed: performance.timeOrigin + timeStamp }),
  { capture: true },
);

export function watch(socket) {
  connection = socket;
  socket.onAny((event, given) => {
    if (event === "receive") record("receive", { code: given.code });
    if (event === "error") record("gone", { why: given.message });
  });
  socket.onAnyOutgoing((event, given) => event === "change" && record("sent", { code: given.code }));
  socket.on("disconnect", (why) => record("gone", { why }));
  socket.io.engine.on("packetCreate", ({ type }) => type === "pong" && record("pong"));
}

export function shown(code) {
  record("shown", { code });
  if (paints) {
    requestAnimationFrame(() => {
      const after = new MessageChannel();
      after.port1.onmessage = () => record("painted", { code });
      after.port2.postMessage(null);
    });
  }
}

export function watchTextarea(textarea) {
  editor = {
    text: () => textarea.value,
    place: (offset) => textarea.setSelectionRange(offset, offset),
  };
  textarea.focus();
}

export function watchMonaco(monaco) {
  const model = monaco.getModel();
  editor = {
    text: () => model.getValue(),
    place: (offset) => monaco.setPosition(model.getPositionAt(offset)),
  };
  shown(model.getValue());
  model.onDidChangeContent(() => shown(model.getValue()));
  monaco.focus();
}

window.recorder = {
  log,
  text: () => editor?.text(),
  // Over WebSocket, as a page is a second after it was opened.
  ready: () => connection?.connected && connection.io.engine.transport.name === "websocket",
  // Milliseconds since anything happened; heartbeats do not count.
  idle: () => now() - log.findLast(({ what }) => what !== "pong").at,
  // Put the caret behind a letter if it is there, else at a fraction of the text; say whether it was.
  place(letter, fraction) {
    const text = editor.text();
    const found = letter ? text.indexOf(letter) : -1;
    editor.place(found < 0 ? Math.round(fraction * text.length) : found + 1);
    return found >= 0;
  },
};
