"""The Yjs endpoint: WebSockets of y-websocket's protocol at ``/yjs/{room}`` (docs/yjs.md).

`endpoint` lets clients in, `session` is one connection, `protocol` reads and writes its frames, and
`ending` says with which code, and why, a connection is closed.
"""
