"""Rooms as one node holds them: members, document, journal, presence.

`registry` has all rooms of the node, `room` is one of them. `members` records who is in a room; an
`identity` is who a member is and what it may do. `text_members` and `yjs_members` serve the two
kinds of member; `absent` keeps text members that may return. `presence` shows the members of all
nodes to each other, by the rules of `roster` (`person` is one member as others see it), and
`census` lists a room's members for a node that does not hold the room. `journal` follows and
extends the room's history in Redis: `journal_state` decides what is due next, `follower` applies
entries and keeps updates that wait (`pending`), `recovery` repairs differences between replica and
journal (`history`), and `worker` runs the work until none is due. `playback` plays the history
forward. `search` and `recognition` find in the history the text that a client was showing, and
`handover` moves the views of a reconnecting member from node to node. No module here knows through
which endpoint a member joined.
"""
