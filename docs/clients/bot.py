"""Show a line at the top of a room's text, in place of the one that is there.

Usage: [API_KEY=...] python bot.py http://localhost:8005 interview-1 "12 minutes left"
"""

import json
import os
import sys
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

MARK = "# bot: "


def call(method, url, body=None, **headers):
    if key := os.environ.get("API_KEY"):  # a key with read+write, or the token of an editor
        headers["Authorization"] = f"Bearer {key}"
    data = json.dumps(body).encode() if body else None
    request = Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def read(url):
    """Return the room's text, or None if it has none."""
    try:
        return call("GET", url)["code"]
    except HTTPError as refusal:
        if refusal.code == 404:
            return None
        raise


def show(url, line):
    code = read(url)
    if code is None:  # `If-None-Match: *`: only if the room still has no text
        return call("PUT", url, {"code": MARK + line + "\n"}, **{"If-None-Match": "*"})
    first, _, rest = code.partition("\n")
    code_without = rest if first.startswith(MARK) else code
    # `base`: the service makes the edit from `base` to `code`. What people have typed since the
    # text was read stays. Without `base` it would be removed.
    return call("PUT", url, {"code": f"{MARK}{line}\n{code_without}", "base": code})


def main(url, room, line):
    for _ in range(5):
        try:
            return show(f"{url}/api/rooms/{room}", line)
        except HTTPError as refusal:
            if refusal.code not in (412, 429, 503):  # these pass: read the room again
                sys.exit(f"{refusal.code}: {refusal.read().decode()}")
        except OSError as problem:  # no answer: the edit may have been made, so read again
            print(problem, file=sys.stderr)
        time.sleep(1)
    sys.exit("the service did not take the edit")


main(*sys.argv[1:])
