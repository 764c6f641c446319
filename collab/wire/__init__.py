"""The wire to one client, for every endpoint: what waits to be written, and the WebSocket.

`outbox` holds what waits, `websocket` is all that an endpoint knows of aiohttp's WebSocket, and
frames that are to leave together go through a `cork`. How a message is read from the transport and
when it is written to it is decided here and nowhere else.
"""
