// The page that anybody would write first: a controlled textarea.
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { io } from "socket.io-client";
import { shown, watch, watchTextarea } from "./recorder.js";

export default function TextareaRoom({ url, room, name }) {
  const [code, setCode] = useState("");
  const socket = useRef(null);
  const textarea = useRef(null);

  useEffect(() => {
    socket.current = io(url, { auth: { name } });
    watch(socket.current);
    socket.current.on("connect", () => socket.current.emit("join", { room }));
    socket.current.on("receive", ({ code }) => setCode(code));
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
