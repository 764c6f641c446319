"""The connection to one client, for every endpoint: the messages to send, and the WebSocket.

`connection` is the TCP connection, which charges the client for what it sends, and `handling` does
so for the time that this takes. `direct` lets messages be handled where they arrive. `outbox`
queues the messages to send, `websocket` wraps aiohttp's WebSocket, `frames` makes frames, and
`cork` makes aiohttp's frames leave in one write. Only this package decides how a message is read
from the transport and when one is written to it.
"""
