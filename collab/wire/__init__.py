"""The connection to one client, for every endpoint: the messages to send, and the WebSocket.

`connection` is the TCP connection, which charges the client for what it sends; `listener` accepts
it, `payers` says who is charged for a request, and `handling` charges the time that a message
takes. `direct` lets messages be handled where they arrive. `outbox` queues the messages to send,
`flushing` writes them as `frames`, `websocket` wraps aiohttp's WebSocket, and `cork` makes
aiohttp's frames leave in one write. Only this package decides how a message is read from the
transport and when one is written to it.
"""
