"""Rooms as one node holds them: members, document, journal, presence.

`registry` has all rooms of the node, `room` is one of them. `text_members` and `yjs_members` are
its members, by how they edit; `crowd` and `presence` tell them of each other, on all nodes.
`journal` follows and extends the room's history in Redis (`pending`, `history`, `worker`), and
`playback` plays it. `search` finds in it what somebody was looking at, and `handover` hands members
that come back from node to node. No module here knows by which endpoint a member came in.
"""
