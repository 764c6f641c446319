"""Show the text of a room, and append each line of standard input to it.

Usage: [TOKEN=...] python async_client.py http://localhost:8005 interview-1
"""

import asyncio
import os
import sys

import engineio
import socketio  # pip install "python-socketio[asyncio_client]==5.18.*" "python-engineio==4.15.*"


class InOrder(engineio.AsyncClient):
    """Runs each handler before it reads on, as browsers do. No handler may wait for an answer."""

    async def _trigger_event(self, event, *args, run_async=False, **options):
        return await super()._trigger_event(event, *args, **options)


class Client(socketio.AsyncClient):
    def _engineio_client_class(self):
        return InOrder


async def main(url, room):
    client = Client()
    shown = ""

    @client.on("connect")  # again after each lost connection
    async def on_connect():
        await client.emit("join", {"room": room})

    @client.on("receive")
    def on_receive(message):
        nonlocal shown
        if message["room"] == room:
            shown = message["code"]
            print(f"--- {room}\n{shown}", flush=True)

    @client.on("error")
    def on_error(problem):
        print(f"{problem['code']}: {problem['message']}", file=sys.stderr)

    @client.on("disconnect")  # it connects again by itself
    def on_disconnect(reason):
        print(f"disconnected: {reason}", file=sys.stderr)

    auth = {"name": "A program", "token": os.environ.get("TOKEN")}
    await client.connect(f"{url}?room={room}", auth=auth)
    while line := await asyncio.to_thread(sys.stdin.readline):
        # No await may come between these two: a text that arrives there would be overwritten.
        shown += line
        try:
            change = {"room": room, "code": shown}
            answer = await client.call("change", change, timeout=10)
        except socketio.exceptions.SocketIOError:  # there is no connection, or it was lost
            answer = {"ok": False}
        print("stored:" if answer["ok"] else "perhaps not stored:", line, end="", flush=True)
    await client.disconnect()


asyncio.run(main(*sys.argv[1:]))
