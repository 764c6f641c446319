/**
 * The events of the Socket.IO endpoint, for socket.io-client:
 *
 *     const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth });
 */

export interface ClientToServerEvents {
  /** Enter a room; its text follows as `receive`, if it has one. Emit it on mount, and on each `connect`. */
  join(to: { room: string }, answer?: (answer: Answer<{ room: string; node: string }>) => void): void;
  /** Set the room's text to `code`; the answer comes when Redis has it. */
  change(edit: { room: string; code: string }, answer?: (answer: Answer) => void): void;
  leave(from: { room: string }, answer?: (answer: Answer<{ room: string }>) => void): void;
  /** Go on with a new token of the same person; `expires` is in Unix seconds. */
  token(next: { token: string }, answer?: (answer: Answer<{ expires: number | null }>) => void): void;
}

export interface ServerToClientEvents {
  /** The whole text of a room. One's own change does not come back. */
  receive(text: { type: "receive"; code: string; room: string }): void;
  /** Everybody in a room, oneself too: `id` is then `socket.id`. */
  presence(people: { room: string; members: Member[] }): void;
  error(problem: Problem): void;
  /** The token expires in so many seconds: answer with `token`. */
  expiring(left: { expires_in: number }): void;
}

export interface Member {
  id: string;
  name: string;
  /** The node that the member is connected to. */
  node: string;
  /** A color of CSS, in hexadecimal digits. */
  color: string;
}

/** What the service answers if it is asked to acknowledge an event. */
export type Answer<Done = unknown> = ({ ok: true } & Done) | { ok: false; error: Problem };

/** Also `error.data` of a `connect_error` with which the service refuses a connection. */
export interface Problem {
  /** A sentence for people; it may change. */
  message: string;
  code: ErrorCode;
  /** The room that it is about: with `not_allowed`, `removed`, `room_closed` and `room_unreadable`. */
  room?: string;
  /** What is wrong with the token, with `unauthorized`: `token_expired`, for example. */
  reason?: string;
}

export type ErrorCode =
  | "auth_unavailable"
  | "bad_code"
  | "bad_event"
  | "bad_room"
  | "code_too_large"
  | "draining"
  | "frame_too_large"
  | "internal"
  | "node_full"
  | "not_allowed"
  | "not_joined"
  | "rate_limited"
  | "removed"
  | "room_closed"
  | "room_full"
  | "room_unreadable"
  | "store_unavailable"
  | "too_many_rooms"
  | "unauthorized";
