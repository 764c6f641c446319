"""The Socket.IO endpoint: the whole-text contract (README, "The Socket.IO endpoint").

`endpoint` does what its events say, `client` is one connection with its line to each of its rooms,
and `returns` knows clients that come back. They stand on a python-socketio `server` that keeps one
client's events in order, and on an Engine.IO `engine`. Its sessions (`engine_socket`) have one
reader and one writer each. `polling` reads the requests of a client that polls and makes their
answers, `leaving` sends a session to another node, and `packets` reads what either transport
brings. `manager` lets other services emit to rooms.
"""
