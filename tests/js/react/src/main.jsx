// One page for each editor: /?editor=textarea&url=http://node&room=...&name=...
import { createRoot } from "react-dom/client";

const pages = {
  textarea: () => import("./TextareaRoom.jsx"),
  flushed: () => import("./FlushedRoom.jsx"),
  monaco: () => import("./MonacoRoom.jsx"),
  // Of docs/clients:
  yjs: () => import("./YjsProgram.jsx"),
  plain: () => import("./PlainProgram.jsx"),
  codemirror: () => import("./CodeMirrorProgram.jsx"),
};

const { editor, ...room } = Object.fromEntries(new URLSearchParams(location.search));
const { default: Room } = await pages[editor]();
createRoot(document.getElementById("root")).render(<Room {...room} />);
