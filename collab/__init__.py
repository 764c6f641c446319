"""Live code rooms: whole-text Socket.IO clients and Yjs editors in one text, on several nodes.

A *node* is one process that runs `app.create_app`; nodes share Redis and nothing else. Each layer
imports only what is below it:

- `app`, `cli`: the wiring, and the command line
- `sio`, `yjs`, `http`: the endpoints, one for each protocol
- `rooms`: a room as one node holds it
- `store`: Redis
- `merge`: what happens to a text or a document
- `names`, `pace`, `metrics`, `logs`, `websocket`, `embedded`, `config`, `origins`, `errors`: what
  all of them use

docs/architecture.md says more.
"""

__version__ = "0.1.0"
