"""The pure core: what happens to a text. Nothing here knows of sockets, Redis or time."""
