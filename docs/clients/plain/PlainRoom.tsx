// A textarea in React, with whole texts.
import { type ChangeEvent, useEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents } from "../events";

interface Place {
  url: string;
  room: string;
  name: string;
  /** Only where the service asks for tokens. It is called for each connection, and when a token expires. */
  getToken?: () => Promise<string>;
}

/** Give it a `place` that stays the same object as long as it is the same place (`useMemo`). */
export function PlainRoom({ place }: { place: Place }) {
  const [code, setCode] = useState("");
  const [problem, setProblem] = useState("");
  const [over, setOver] = useState(false);
  const connection = useRef<Socket<ServerToClientEvents, ClientToServerEvents>>(null);
  const { room } = place;

  useEffect(() => {
    const { url, name, getToken } = place;
    const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, {
      query: { room }, // a load balancer brings the people of a room to one node
      auth: async (send) => send({ name, token: await getToken?.() }),
    });
    connection.current = socket;
    setCode("");
    setOver(false);

    const join = () => socket.emit("join", { room });
    join(); // first of all: it tells the service that nothing is shown yet
    socket.on("connect", () => {
      setProblem("");
      join(); // again after each lost connection
    });
    // Inside the handler, not in a later render: a key in between would be pressed on the old text.
    socket.on("receive", (text) => {
      if (text.room === room) flushSync(() => setCode(text.code));
    });
    socket.on("error", ({ code, message }) => {
      setProblem(message);
      // Typing on would begin another room of that name.
      if (code === "room_closed" || code === "removed") setOver(true);
    });
    socket.on("connect_error", ({ message }) => setProblem(message));
    socket.on("disconnect", (reason) => {
      if (reason === "io server disconnect") socket.connect(); // the token has expired: show another
    });
    socket.on("expiring", async () => socket.emit("token", { token: (await getToken?.()) ?? "" }));

    return () => {
      socket.disconnect();
      connection.current = null;
    };
  }, [place, room]);

  /** React calls this for what the user does, and not for `setCode`: what was received is not sent back. */
  function typed({ target }: ChangeEvent<HTMLTextAreaElement>) {
    setCode(target.value);
    connection.current?.emit("change", { room, code: target.value });
  }

  return (
    <>
      <textarea aria-label="Code" value={code} onChange={typed} readOnly={over} spellCheck={false} />
      <p role="status">{problem}</p>
    </>
  );
}
