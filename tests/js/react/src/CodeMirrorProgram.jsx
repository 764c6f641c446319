import { useEffect, useRef } from "react";
import { openEditor } from "../clients/yjs/codemirror";
import { appOf } from "./programs";

function Editor({ place }) {
  const parent = useRef(null);
  useEffect(() => openEditor(parent.current, place), [place]);
  return <div ref={parent} />;
}

export default appOf(Editor);
