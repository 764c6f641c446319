// The same, but what was received is on the screen before its handler returns.
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { io } from "socket.io-client";
import { shown, watch, watchTextarea } from "./recorder.js";

export default function FlushedRoom({ url, room, name }) {
  const [code, setCode] = useState("");
  const socket = useRef(null);
  const textarea = useRef(null);

  useEffect(() => {
    socket.current = io(url, { auth: { name } });
    watch(socket.current);
    socket.current.on("connect", () => socket.current.emit("join", { room }));
    socket.current.on("receive", ({ code }) => flushSync(() => setCode(code)));
    return () => socket.current.disconnect();
  }, [url, room, name]);

  function typed(event) {
    setCode(event.target.value);
    socket.current.emit("change", { room, code: event.target.value });
  }

  useLayoutEffect(() => watchTextarea(textarea.current), []);
  useLayoutEffect(() => shown(code), [code]);
  return <textarea ref={textarea} value={code} onChange={typed} />;
}
