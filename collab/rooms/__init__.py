"""Rooms as one node holds them: members, document, journal, presence.

`registry` has all rooms of the node, `room` is one of them. `members` says who is in it; an
`identity` is who a member is and what it may do. `text_members` and `yjs_members` serve members by
how they edit; `absent` are those that may come back. `presence` shows members each other, on all
nodes, by the rules of `roster` (`person` is how each is seen), and `census` tells a node that does
not hold the room who is in it. `journal` follows and extends the room's history in Redis:
`journal_state` says what is due next, `follower` applies entries and keeps what waits (`pending`),
`recovery` repairs what went apart (`history`), and `worker` continues until nothing is due.
`playback` plays the history. `search` and `recognition` find in it the text that a client was
showing, and `handover` moves members that come back from node to node. No module here knows by
which endpoint a member came in.
"""
