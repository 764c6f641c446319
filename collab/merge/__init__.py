"""The pure core: merging texts. It imports no sockets, no Redis and no event loop.

A text member sends a whole text. `text_peer` holds the state of the member: `views` determines
which text the member changed (`choice` if several are possible, `lateness` if its page renders
late, `trail` for the texts on their way to it), and `window` limits what is written to it. `diff`
computes the edit (`differ` bounds the diffs of one change), `delta` transforms it to the present
text, and the `replica`, the room's `document` and its `shared_text`, applies it. For a connection,
`pings` matches PONGs with PINGs, and `turns` detects clients that keep changes back. `gate` checks
Yjs updates before the replica applies them: `update_reader` reads their bytes into a `survey`
(`structs`, `pairs` and `deletions` read on). `replay` replays a room's history. `units` converts
between code points, UTF-16 units and bytes. `updates`, `awareness` and `encoding` wrap the rest of
pycrdt, which no other package imports. docs/merging.md explains the design.
"""
