// People at editors that were never changed: each sends its whole text on every keystroke and shows
// whatever it receives. One JSON command a line in, one JSON event a line out.
//   {"do":"open","id":1,"url":...,"room":...,"every":20}   join, and type a character of its own every 20 ms
//   {"do":"stop"}   type no more     {"do":"tell"}   say for each what it shows, typed and was promised
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { io } = createRequire(new URL("../js/package.json", import.meta.url))("socket.io-client");
const people = new Map();
const say = (event) => process.stdout.write(JSON.stringify(event) + "\n");

function open({ id, url, room, every }) {
  const socket = io(url, { forceNew: true, transports: ["websocket"], reconnectionDelay: 50, reconnectionDelayMax: 200 });
  const person = { shown: "", joined: false, sent: [], acked: [], refused: [], typed: 0 };
  people.set(id, person);
  socket.on("connect", () =>
    socket.emit("join", { room }, (reply) => {
      if (reply.ok) person.joined = true;
      else person.refused.push(reply);
    }),
  );
  socket.on("disconnect", () => (person.joined = false));
  socket.on("receive", ({ code }) => (person.shown = code));
  function type() {
    if (!person.joined) return;
    // A character that nobody else types: what was typed where can be told from the texts alone.
    const character = String.fromCodePoint(0x4e00 + (id - 1) * 2500 + person.typed++);
    const at = Math.floor(Math.random() * (person.shown.length + 1));
    person.shown = person.shown.slice(0, at) + character + person.shown.slice(at);
    person.sent.push(character);
    socket.emit("change", { room, code: person.shown }, (reply) => {
      if (reply.ok) person.acked.push(character);
      else person.refused.push(reply);
    });
  }
  if (every) person.timer = setInterval(type, every);
}

const commands = {
  open,
  stop() {
    for (const person of people.values()) clearInterval(person.timer);
  },
  tell: () => say([...people.values()].map(({ timer, ...person }) => person)),
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
