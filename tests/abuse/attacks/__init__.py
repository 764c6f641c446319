"""The attacks that are known to have harmed others, in the order of the modules."""

from __future__ import annotations

from tests.abuse.attack import Attack, by_name
from tests.abuse.attacks import handshakes, held, packets, rooms, texts, updates

ATTACKS = by_name(
    (
        Attack(texts.random_indentation, 20_000, 20_000),
        Attack(texts.unjoined_change, 300, 1900),
        Attack(updates.awareness_states, 5, 5),
        Attack(updates.deleted_ranges, 900_000, 900_000),
        Attack(updates.scattered_deletions, 10_000, 10_000),
        Attack(updates.conflicting_letters, 9000, 9000),
        Attack(updates.large_state_vector, 450_000, 450_000),
        Attack(packets.posted_packets, 1_000_000, 1_000_000),
        Attack(packets.large_names, 10, 30),
        Attack(packets.noops, 200_000, 900_000),
        Attack(packets.renewed_connects, 3, 20),
        Attack(handshakes.handshakes, 200, 10_000),
        Attack(handshakes.large_headers, 60, 1500),
        Attack(held.unfinished_messages, 10, 40),
        Attack(held.unread_answers, 30, 100, hears=False),
        Attack(held.queued_posts, 60, 300),
        Attack(held.silent_members, 15, 60),
        Attack(rooms.crowded_room, 30, 300),
        Attack(rooms.empty_rooms, 400, 6000),
        Attack(rooms.large_rooms, 1, 20),
    )
)
