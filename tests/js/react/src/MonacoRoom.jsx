// The page with the editor that most would choose, bundled.
import Editor, { loader } from "@monaco-editor/react";
import * as monaco from "monaco-editor";
import EditorWorker from "monaco-editor/editor/editor.worker.js?worker";
import { useEffect, useRef, useState } from "react";
import { io } from "socket.io-client";
import { watch, watchMonaco } from "./recorder.js";

self.MonacoEnvironment = { getWorker: () => new EditorWorker() };
loader.config({ monaco });

export default function MonacoRoom({ url, room, name }) {
  const [code, setCode] = useState("");
  const socket = useRef(null);

  useEffect(() => {
    socket.current = io(url, { auth: { name } });
    watch(socket.current);
    socket.current.on("connect", () => socket.current.emit("join", { room }));
    socket.current.on("receive", ({ code }) => setCode(code));
    return () => socket.current.disconnect();
  }, [url, room, name]);

  function typed(value) {
    setCode(value);
    socket.current.emit("change", { room, code: value });
  }

  return <Editor language="python" value={code} onChange={typed} onMount={watchMonaco} />;
}
