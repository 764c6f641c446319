"""Show the text of a room, and append each line of standard input to it.

Usage: [TOKEN=...] python threaded_client.py http://localhost:8005 interview-1
"""

import os
import queue
import sys
import threading

import engineio
import socketio  # pip install "python-socketio[client]==5.18.*" "python-engineio==4.15.*"


class InOrder(engineio.Client):
    """Runs each handler before it reads on, as browsers do. No handler may wait for an answer."""

    def _trigger_event(self, event, *args, run_async=False, **options):
        return super()._trigger_event(event, *args, **options)


class Client(socketio.Client):
    def _engineio_client_class(self):
        return InOrder


def main(url, room):
    client = Client()
    shown = ""
    screen = threading.Lock()  # handlers run in another thread

    @client.on("connect")  # again after each lost connection
    def on_connect():
        client.emit("join", {"room": room})

    @client.on("receive")
    def on_receive(message):
        nonlocal shown
        if message["room"] == room:
            with screen:
                shown = message["code"]
                print(f"--- {room}\n{shown}", flush=True)

    @client.on("error")
    def on_error(problem):
        print(f"{problem['code']}: {problem['message']}", file=sys.stderr)

    @client.on("disconnect")  # it connects again by itself
    def on_disconnect(reason):
        print(f"disconnected: {reason}", file=sys.stderr)

    auth = {"name": "A program", "token": os.environ.get("TOKEN")}
    client.connect(f"{url}?room={room}", auth=auth)
    for line in sys.stdin:
        answers = queue.Queue()
        try:
            # Both under the lock: a text that arrives between the two would be overwritten.
            with screen:
                shown += line
                client.emit("change", {"room": room, "code": shown}, callback=answers.put)
            answer = answers.get(timeout=10)
        except (socketio.exceptions.SocketIOError, queue.Empty):
            answer = {"ok": False}  # there is no connection, or it was lost
        print("stored:" if answer["ok"] else "perhaps not stored:", line, end="", flush=True)
    client.disconnect()


main(*sys.argv[1:])
