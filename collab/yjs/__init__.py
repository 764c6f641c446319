"""The Yjs endpoint: WebSockets of y-websocket's protocol at ``/yjs/{room}`` (docs/yjs.md).

`endpoint` accepts connections, and `session` is one connection. Its parts are `sync`, the document,
`stored`, the client's questions about Redis, and `token`, what the client may do. `protocol` parses
and builds frames, and `ending` has the codes and reasons with which a connection is closed.
"""
