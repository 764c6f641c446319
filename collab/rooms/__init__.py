"""Rooms as one node holds them: members, document, journal, presence.

`registry` has all rooms of the node, `room` is one of them. `text_members` and `yjs_members` are
its members, by how they edit; `presence` tells them of each other, on all nodes, by the rules of
`roster` (`person` is how each is seen), and `census` tells a node that does not hold the room who
is in it. `journal` follows and extends the room's history in Redis (`pending`, `history`,
`worker`), and `playback` plays it. `search` finds in it what somebody was looking at, and
`handover` hands members that come back from node to node. No module here knows by which endpoint a
member came in.
"""
