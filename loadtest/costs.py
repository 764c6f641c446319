"""What one edit, connection or room costs: `costs.toml`, where each figure has its source."""

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

FILE = Path(__file__).with_name("costs.toml")


@dataclass(frozen=True)
class Costs:
    """What things cost: µs of CPU (`…_us`), bytes of memory, and bytes of payload on a link.

    The file says what each is about.
    """

    relay_us: float

    # A node's CPU
    node_awake_us: float
    text_change_us: float
    text_kb_us: float
    yjs_change_us: float
    delivery_us: float
    remote_us: float
    check_us: float
    report_us: float
    connection_us: float
    arrival_us: float

    # Redis' CPU
    redis_commit_us: float
    redis_kb_us: float
    redis_round_trip_us: float
    redis_announcement_us: float
    redis_report_us: float
    redis_check_us: float

    # A node's memory
    node_bytes: float
    connection_bytes: float
    room_bytes: float
    room_text_bytes: float
    edit_bytes: float

    # Redis' memory
    redis_room_bytes: float
    redis_text_bytes: float
    redis_entry_bytes: float
    update_bytes: float

    # Links
    event_bytes: float
    escaped_bytes: float
    marks_bytes: float
    yjs_frame_bytes: float
    commit_bytes: float
    commit_answer_bytes: float
    announcement_bytes: float
    check_bytes: float
    check_answer_bytes: float

    @classmethod
    def read(cls) -> Self:
        """Read the file. Raises TypeError if a figure is missing in it, or unknown."""
        return cls(**{name: entry["value"] for name, entry in entries().items()})

    def on_machine(self, relay_us: float) -> Self:
        """Return the costs on a machine on which the relay needs so many µs a change."""
        factor = relay_us / self.relay_us
        times = [each.name for each in fields(self) if each.name.endswith("_us")]
        return replace(self, **{name: factor * getattr(self, name) for name in times})


def entries() -> dict[str, dict[str, Any]]:
    """Return the figures by name, each with its `value`, `unit` and `source`."""
    return tomllib.loads(FILE.read_text())
