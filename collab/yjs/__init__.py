"""The second door: WebSockets of y-websocket's protocol at ``/yjs/{room}`` (docs/yjs.md).

`door` admits clients, `session` is one connection, `protocol` reads and writes its frames, and
`ending` says with which code, and why, a connection is closed.
"""
