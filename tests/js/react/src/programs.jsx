// The browser programs of docs/clients, as an app would use them, and what an app does with them.
import { StrictMode, useMemo, useState } from "react";

/** What gives one token after the other, and the last again and again; nothing if there are none. */
function tokensOf(listed) {
  const tokens = listed?.split(",");
  return tokens && (async () => (tokens.length > 1 ? tokens.shift() : tokens[0]));
}

/** The page of a program that is a React component: it can move to another room, go and come back. */
export function appOf(Program) {
  return function App({ url, room: first, name, color, tokens }) {
    const [room, setRoom] = useState(first);
    const [there, setThere] = useState(true);
    const place = useMemo(
      () => ({ url, room, name, user: { name, color: color ?? "#1d4ed8" }, getToken: tokensOf(tokens) }),
      [url, room, name, color, tokens],
    );
    return (
      <StrictMode>
        <button type="button" onClick={() => setRoom(`${first}-2`)}>Another room</button>
        <button type="button" onClick={() => setRoom(first)}>First room</button>
        <button type="button" onClick={() => setThere(!there)}>{there ? "Close" : "Open"}</button>
        {there && <Program place={place} language="python" />}
      </StrictMode>
    );
  };
}
