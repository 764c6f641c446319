// People who type at the same time, each on a separate page.
//   in: a JSON plan on one line: {seed, traced, members: [{room, url, endpoint: "text" | "yjs", ...}]}; the people
//       type until the input ends. The other fields of a text member: text_page.mjs. On further lines:
//       pause   nobody types
//       resume  all type again
//       look    what all pages show now
//   out: {what: "ready"} when they begin, {what: "look", pages: [{room, text, online, waiting}]} for each look, and
//        {what: "rest", members: [...]} when all are at rest
import { createInterface } from "node:readline";
import { TextPage } from "./text_page.mjs";
import { YjsPage } from "./yjs_page.mjs";

const REST_TIMEOUT = 60000; // ms after which a member that is not at rest is reported as it is

const print = (event, then) => process.stdout.write(JSON.stringify(event) + "\n", then);
let people = [];

async function begin({ seed, traced, members }) {
  people = members.map((member, i) =>
    new (member.endpoint === "yjs" ? YjsPage : TextPage)({ ...member, traced }, seed * 1000 + i));
  await Promise.all(people.map((person) => person.ready()));
  print({ what: "ready" });
  await Promise.all(people.map((person) => person.type()));
  const end = Date.now() + REST_TIMEOUT;
  while (!people.every((person) => person.resting) && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  print({ what: "rest", members: people.map((person) => person.result()) }, () => process.exit(0));
}

function setPaused(paused) {
  for (const person of people) person.paused = paused;
}

const commands = {
  pause: () => setPaused(true),
  resume: () => setPaused(false),
  look: () => print({ what: "look", pages: people.map((person) => person.look()) }),
};

const input = createInterface({ input: process.stdin });
input.once("line", (plan) => {
  begin(JSON.parse(plan));
  input.on("line", (command) => commands[command]());
});
input.on("close", () => {
  for (const person of people) person.typing = false;
});
