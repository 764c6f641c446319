"""The first door: the whole-text contract over Socket.IO (README, "The first door").

`door` does what its events say, and `returns` knows clients that come back. They stand on a
python-socketio `server` that keeps one client's events in order, and on an Engine.IO `engine` with
one reader and one writer for each connection: what waits to be written is in an `outbox`, and
frames that are to leave together go through a `cork`. `manager` lets other services emit to rooms.
"""
