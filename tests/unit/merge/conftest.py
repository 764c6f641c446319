"""The effort of the property tests and simulations: ``MERGE_EFFORT=20`` for a run overnight."""

import os

from hypothesis import HealthCheck, settings

EFFORT = int(os.environ.get("MERGE_EFFORT", "1"))

settings.register_profile(
    "merge",
    max_examples=150 * EFFORT,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("merge")
