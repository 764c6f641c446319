"""The second door: WebSockets of y-websocket's protocol at ``/yjs/{room}`` (docs/yjs.md).

`door` admits clients, `session` is one connection, `protocol` reads and writes its frames, and
`outbox` bounds what waits to be written.
"""
