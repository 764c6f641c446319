"""The Yjs endpoint: WebSockets of y-websocket's protocol at ``/yjs/{room}`` (docs/yjs.md).

`endpoint` accepts connections, `session` is one connection, `protocol` parses and builds its
frames, and `ending` has the codes and reasons with which a connection is closed.
"""
