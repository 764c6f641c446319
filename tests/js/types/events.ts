// What can be written with docs/clients/events.d.ts, and what cannot: each line after
// `@ts-expect-error` must be refused.
import { io, type Socket } from "socket.io-client";
import type { Answer, ClientToServerEvents, ErrorCode, Member, ServerToClientEvents } from "../../../docs/clients/events";

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io("http://localhost:8005", { auth: { token: "" } });
const room = "room-id";

socket.emit("join", { room });
socket.emit("join", { room }, (answer) => {
  if (answer.ok) console.log(answer.room.length, answer.node.length);
  else console.log(answer.error.code, answer.error.message, answer.error.room?.length);
});
socket.emit("change", { room, code: "" }, ({ ok }) => console.log(ok));
socket.emit("token", { token: "t" }, (answer) => answer.ok && console.log(answer.expires ?? 0));
socket.emit("leave", { room });
socket.on("receive", ({ type, code, room }) => console.log(type === "receive", code.length, room.length));
socket.on("presence", ({ room, members }) => console.log(room, members.map((member: Member) => member.color)));
socket.on("error", ({ code }) => console.log(code satisfies ErrorCode, code === "removed"));
socket.on("expiring", ({ expires_in }) => console.log(expires_in + 1));

// With a time-out, and as a promise.
const stored: Answer = await socket.timeout(5000).emitWithAck("change", { room, code: "x" });
console.log(stored.ok || stored.error.reason);

// @ts-expect-error there is no such event
socket.emit("joins", { room });
// @ts-expect-error the room is a field of an object
socket.emit("join", room);
// @ts-expect-error a change has a text
socket.emit("change", { room });
// @ts-expect-error a text is not null
socket.emit("change", { room, code: null });
// @ts-expect-error an answer that may be a refusal
socket.emit("join", { room }, (answer) => console.log(answer.node));
// @ts-expect-error the service does not send it
socket.on("joined", () => {});
// @ts-expect-error the text is in `code`
socket.on("receive", ({ text }) => console.log(text));
// @ts-expect-error a code that does not exist
socket.on("error", ({ code }) => console.log(code === "forbidden"));
