/** The screen of playback: reads a room's history, plays it, and goes on with the room. */
import { find, type Frame } from "../frame";
import { onNewToken } from "../token";
import { Follower } from "./follower";
import { fetchHistory, Misshapen, NoHistory } from "./history";
import { Player } from "./player";
import { Story } from "./story";

/** Between two attempts to read a history that could not be read. */
const AGAIN_MS = 4000;
const TRIMMED = "The history was shortened: its oldest edits are now part of the text with which it begins.";
const ENDED = "This room has ended. What you see is all that was read of it; you can copy or download it.";

export function openPlayback(frame: Frame, room: string): void {
  frame.badge.show("playback");
  find("#player").hidden = false;
  void begin(frame, room).then((story) => story && follow(frame, room, story));
}

/** Read the history, and try again until that succeeds; null if it can not be understood. */
async function begin(frame: Frame, room: string): Promise<Story | null> {
  const clock = find("#clock");
  const progress = (done: number) => {
    clock.textContent = `Reading the history… ${Math.round(done * 100)} %`;
  };
  for (;;) {
    clock.textContent = "Reading the history…";
    try {
      // To read it and to replay it are half of the way each.
      const part = await fetchHistory(room, "", (done) => progress(done / 2));
      const story = await Story.of(part, (done) => progress((1 + done) / 2));
      frame.notices.clear();
      return story;
    } catch (problem) {
      clock.textContent = "No history";
      const known = problem instanceof NoHistory ? problem : null;
      frame.notices.show({ message: known?.message ?? "The history could not be understood.", code: "history" });
      if (known === null) return null;
      await new Promise<void>((resolve) => {
        if (known.lasting) onNewToken(resolve);
        else setTimeout(resolve, AGAIN_MS);
      });
    }
  }
}

function follow(frame: Frame, room: string, first: Story): void {
  let story = first;
  const player = new Player(frame, room, story, () => follower.poke());
  const ask = async (): Promise<boolean> => {
    const part = await fetchHistory(room, story.last, () => undefined);
    if (part === null) {
      // The room of a name that nobody has used yet is no room that has ended.
      if (story.film.count > 0 || story.text !== "") player.end(ENDED);
      return false;
    }
    player.trouble("");
    if (story.isStill(part) || (part.base === null && part.entries.length === 0)) return false;
    if (part.base === null) {
      await story.add(part.entries);
      player.extended();
      return true;
    }
    const shortened = story.film.count > 0;
    story = await Story.of(part, () => undefined);
    player.replaced(story);
    if (shortened) frame.notices.show({ message: TRIMMED, code: "shortened" });
    return true;
  };
  const follower = new Follower(async () => {
    try {
      return await ask();
    } catch (problem) {
      if (!(problem instanceof NoHistory) && !(problem instanceof Misshapen)) throw problem;
      player.trouble(problem instanceof NoHistory ? problem.message : "The history could not be understood.");
      return false;
    }
  });
}
