/**
 * The token of whoever opened the page. It comes in the fragment of the address (`#token=…`), which a
 * browser sends to no server, and is taken out of the address bar and the history at once. A page that
 * embeds this one, or made the link, can give the next token in the same way, without a reload.
 */
import { fieldsOf, nameFrom } from "./untrusted";

const KEY = "collab.token";
let current = "";
let renewed: () => void = () => undefined;

/** Storage of this tab alone, for when it is loaded again; the page works without. */
function remember(token: string): void {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // The token then lasts as long as the page.
  }
}

function remembered(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** Take a token out of the address; return whether there was one. */
function take(): boolean {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("token");
  if (given === null) return false;
  fragment.delete("token");
  const rest = fragment.toString();
  history.replaceState(history.state, "", location.pathname + location.search + (rest && `#${rest}`));
  current = given;
  remember(given);
  return true;
}

/** To be called before anything else reads the address. */
export function watchToken(): void {
  if (!take()) current = remembered();
  window.addEventListener("hashchange", () => {
    if (take()) renewed();
  });
}

/** The parameters with which a connection shows the token; none while the service asks for none. */
export function shownToken(): { token?: string } {
  return current === "" ? {} : { token: current };
}

export function onNewToken(handle: () => void): void {
  renewed = handle;
}

/** What the token says, if it can be read here. */
function claimsOfToken(): Readonly<Record<string, unknown>> {
  try {
    const [, claims = ""] = current.split(".");
    const bytes = Uint8Array.from(atob(claims.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    return fieldsOf(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return {};
  }
}

/** The name that the token gives its bearer, if it can be read here: others see that one. */
export function nameInToken(): string {
  return nameFrom(claimsOfToken()["name"]);
}

/** Whether the token says that its bearer may only look. What the service says counts more. */
export function isViewersToken(): boolean {
  return claimsOfToken()["role"] === "viewer";
}

/** Whether a room that this page makes up would let us in. */
export function mayOpenAnyRoom(): boolean {
  if (current === "") return true;
  const { rooms } = claimsOfToken();
  return Array.isArray(rooms) && rooms.includes("*");
}
