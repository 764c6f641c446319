"""The Socket.IO endpoint: the whole-text contract (README, "The Socket.IO endpoint").

`endpoint` handles the events, `client` is one connection with a line to each of its rooms,
`memberships` lets clients into rooms and out of them, `grants` applies new tokens, expired ones and
rulings, and `returns` recognizes clients that connect again. They use a python-socketio `server`,
which keeps the events of one client in order, and an Engine.IO server, `engine`. Each of its
sessions (`engine_socket`) has one reader and one writer. `polling` reads the requests of a polling
client and makes the responses, `upgrade` lets it switch to a WebSocket, `leaving` sends a session
to another node, and `packets` reads the packets of both transports. `unconnected` bounds the
sessions without a CONNECT. `manager` lets other services emit to rooms.
"""
