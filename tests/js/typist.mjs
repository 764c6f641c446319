// People who type at the same time, each on a separate page.
//   in: a JSON plan on one line: {seed, traced, members: [{room, url, endpoint: "text" | "yjs", ...}]}; the people
//       type until the input ends. The other fields of a text member: text_page.mjs.
//   out: {what: "ready"} when they begin, and {what: "rest", members: [...]} when all are at rest
import { createInterface } from "node:readline";
import { TextPage } from "./text_page.mjs";
import { YjsPage } from "./yjs_page.mjs";

const REST_TIMEOUT = 30000; // ms after which a member that is not at rest is reported as it is

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

const input = createInterface({ input: process.stdin });
input.once("line", (plan) => begin(JSON.parse(plan)));
input.on("close", () => {
  for (const person of people) person.typing = false;
});
