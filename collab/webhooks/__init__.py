"""Webhooks: another service learns when a room opens, is idle, is about to expire, and has ended.

docs/webhooks.md is for receivers; docs/journal.md has the keys in Redis, and why nothing is lost.

- `life`: what has happened to a room, decided without Redis and without an event loop
- `messages`: the events as the receiver gets them, and their signatures
- `registry`: the rooms and their states in Redis; `sweeper` looks at them
- `outbox`: the events that wait in Redis; `delivery` sends them
- `webhooks`: the parts together
"""
