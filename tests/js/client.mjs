// The official Socket.IO client, driven by a test: one JSON command a line in, one JSON event a line out.
//   {"do":"connect","id":1,"url":..., "options":{...}}     {"do":"emit","id":1,"event":...,"data":...,"ack":7}
//   {"do":"echo","id":1,"room":...}     sends each received text back, from inside its handler
//   {"do":"reopen","id":1,"auth":{...}}   connects again, as a page does with a new token
//   {"do":"close","id":1}   {"do":"raw","id":1,"packet":...}   {"do":"quit"}
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();
const print = (event) => process.stdout.write(JSON.stringify(event) + "\n");

function connect({ id, url, options }) {
  const socket = io(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
  sockets.set(id, socket);
  const transport = () => socket.io.engine?.transport?.name;
  socket.on("connect", () => {
    const { id: sid, recovered } = socket;
    const pid = socket["_pid"]; // private to TypeScript
    print({ id, what: "connect", sid, recovered, pid, eio: socket.io.engine.id, transport: transport() });
    socket.io.engine.on("upgrade", () => print({ id, what: "upgrade", transport: transport() }));
  });
  socket.on("disconnect", (reason) => print({ id, what: "disconnect", reason }));
  socket.on("connect_error", (error) =>
    print({ id, what: "connect_error", message: error.message, data: error["data"] }));
  socket.onAny((event, data) => print({ id, what: "event", event, data }));
}

const commands = {
  connect,
  emit({ id, event, data, ack }) {
    const socket = sockets.get(id);
    if (ack === undefined) socket.emit(event, ...(data === undefined ? [] : [data]));
    else {
      const began = performance.now();
      socket.emit(event, data, (reply) =>
        print({ id, what: "ack", ack, data: reply, took: performance.now() - began }));
    }
  },
  raw({ id, packet }) {
    sockets.get(id).io.engine.write(packet);
  },
  echo({ id, room }) {
    const socket = sockets.get(id);
    socket.on("receive", ({ code }) => socket.emit("change", { room, code }));
  },
  close({ id }) {
    sockets.get(id).close();
  },
  reopen({ id, auth }) {
    const socket = sockets.get(id);
    socket.auth = auth;
    socket.connect();
  },
  quit() {
    process.exit(0);
  },
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
print({ what: "ready" });
