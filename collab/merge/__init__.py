"""The pure core: what happens to a text. It knows no sockets, no Redis, no event loop, no clock.

A member sends a whole text. `text_peer` has all that is known of the member: `views` tells which
text it was looking at (`choice` if it could be several, `lateness` if its page renders late,
`trail` for those on their way to it), `window` how much may be written to it. `diff` tells what it
did to that text, and `delta` carries the edit over to the present, where it is applied to the
`replica`, the room's document. Of a connection, `pings` tells which PING a PONG answers, and
`turns` whether the client keeps changes back. `gate` looks at Yjs updates before they get to the
replica (`survey`, `structs`, `pairs`, `deletions`); `replay` plays a room's history. `units`
converts between code points, UTF-16 units and bytes. `updates`, `awareness` and `encoding` are what
else there is to do with pycrdt, which is imported nowhere else. docs/merging.md explains why.
"""
