"""The yardstick of the benchmark: a plain relay on aiohttp.

It speaks just enough Engine.IO, Socket.IO and y-websocket to pass on what members of a room send.
It merges nothing, checks nothing and stores nothing, so no service that does can cost less on the
same libraries. Each row of `bench.py` is given as a multiple of what this relay costs under the
same load in the same minutes. Such multiples can be compared across machines and years only if
this file stays as it is: do not make it faster.
"""

import json
import sys
from collections import defaultdict
from typing import Any

import uvloop
from aiohttp import WSMsgType, web

OPEN = '0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
SYNC_STEP_1 = b"\0\0"
NOTHING_TO_SYNC = b"\0\1\2\0\0"

rooms: defaultdict[str, set[web.WebSocketResponse]] = defaultdict(set)
texts: dict[str, str] = {}


async def relay_texts(request: web.Request) -> web.WebSocketResponse:
    """Serve one Socket.IO client: `change` becomes `receive` for the others in the room."""
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    await ws.send_str(OPEN)
    joined = set()
    async for message in ws:
        packet = message.data
        if packet.startswith("40"):
            await ws.send_str('40{"sid":"s"}')
        elif packet.startswith("42"):
            id, bracket, rest = packet[2:].partition("[")
            event, payload = json.loads(bracket + rest)
            room = payload["room"]
            if event == "join":
                joined.add(room)
                rooms[room].add(ws)
                if room in texts:
                    await ws.send_str(receive(texts[room]))
            elif event == "change":
                texts[room] = payload["code"]
                packet = receive(texts[room])
                for member in tuple(rooms[room]):
                    if member is not ws:
                        await member.send_str(packet)
            if id:
                await ws.send_str(f'43{id}[{{"ok":true}}]')
    for room in joined:
        rooms[room].discard(ws)
    return ws


def receive(code: str) -> str:
    return "42" + json.dumps(["receive", {"type": "receive", "code": code}])


async def relay_updates(request: web.Request) -> web.WebSocketResponse:
    """Serve one y-websocket client: the others in the room get each of its frames."""
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    members = rooms["yjs/" + request.match_info["room"]]
    members.add(ws)
    async for message in ws:
        if message.type is WSMsgType.BINARY:
            if message.data.startswith(SYNC_STEP_1):
                await ws.send_bytes(NOTHING_TO_SYNC)
            else:
                for member in tuple(members):
                    if member is not ws:
                        await member.send_bytes(message.data)
    members.discard(ws)
    return ws


async def ready(request: web.Request) -> web.Response:
    return web.Response()


def main(port: int) -> None:
    app = web.Application()
    app.router.add_get("/socket.io/", relay_texts)
    app.router.add_get("/yjs/{room}", relay_updates)
    app.router.add_get("/readyz", ready)
    options: dict[str, Any] = {"print": None, "access_log": None, "backlog": 4096}
    web.run_app(app, host="127.0.0.1", port=port, loop=uvloop.new_event_loop(), **options)


if __name__ == "__main__":
    main(int(sys.argv[1]))
