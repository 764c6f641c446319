"""Live code rooms: whole-text Socket.IO clients and Yjs editors share a text, on several nodes.

A *node* is one process that runs `app.create_app`; nodes share only Redis. Each layer imports only
from the layers below it:

- `app`, `cli`: the wiring, and the command line
- `sio`, `yjs`, `http`: the endpoints, one for each protocol
- `wire`: WebSockets and bounded queues for the endpoints
- `rooms`: a room as one node holds it
- `store`: Redis
- `merge`: the changes of a text or a document
- `names`, `pace`, `bucket`, `metrics`, `logs`, `embedded`, `config`, `secret_settings`, `api_keys`,
  `hosts`, `origins`, `errors`:
  what all of them use

docs/architecture.md says more.
"""

__version__ = "0.1.0"
