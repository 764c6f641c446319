"""``python -m tests.soak`` prints which typed text was lost while links and servers failed.

It also prints how long each failure needed to heal, when ``/readyz`` noticed it and its repair, and
how much memory it cost. It ends with 1 if acknowledged characters are lost, if a room has several
texts, if one of these figures is above its bound (`tests.soak.verdict`), or if a node logged an
error. No server can save some other characters: those that a page sent in the last moment before
its link or its node failed, if a text that arrived had overwritten its screen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.soak.cluster import SoakCluster, soak_cluster
from tests.soak.scenes import SCENES
from tests.soak.soak import HEAD, WAYS, Result, play
from tests.soak.verdict import HEAD as VERDICT_HEAD
from tests.soak.verdict import complaints


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _soak(given: argparse.Namespace) -> bool:
    """Play the scenes; return whether all promises were kept."""
    kept = True
    with tempfile.TemporaryDirectory(prefix="collab-soak-") as home:
        async with soak_cluster(Path(home)) as cluster:
            _print_line(f"seed {given.seed}\n{HEAD}")
            verdicts = []
            for scene in given.scenes:
                results, verdict = await play(
                    cluster, scene, given.ways,
                    seconds=given.seconds, seed=given.seed, traced=given.trace is not None,
                )  # fmt: skip
                for result in results:
                    _print_line(result.row())
                    kept &= not result.broke_a_promise
                    if given.trace is not None:
                        await _write_trace(given.trace, result, cluster)
                verdicts.append(verdict)
            _print_line("\n".join((VERDICT_HEAD, *(verdict.row() for verdict in verdicts))))
            for line in (*complaints(verdicts), *cluster.complaints()):
                _print_line(line)
                kept = False
    return kept


async def _write_trace(folder: Path, result: Result, cluster: SoakCluster) -> None:
    """Write what each page sent and received, with times, the journal's history, and the logs."""
    folder.mkdir(parents=True, exist_ok=True)
    outcome = result.outcome
    record = {
        "lost": sorted(outcome.lost), "risen": sorted(outcome.risen),
        "apart": sorted(outcome.apart), "texts": outcome.texts,
        "histories": await cluster.histories(list(outcome.texts)),
        "members": [asdict(member) for member in outcome.members],
    }  # fmt: skip
    path = folder / f"{result.scene}-{result.way}.json"
    path.write_text(json.dumps(record, ensure_ascii=False))
    for name, node in cluster.nodes.items():
        (folder / f"node-{name}.log").write_text(node.output())


def main() -> int:
    """Run the soak that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each scene (20)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument(
        "--ways", nargs="+", default=list(WAYS), choices=WAYS, metavar="WAY", help=", ".join(WAYS)
    )
    parser.add_argument(
        "--trace", type=Path, metavar="FOLDER", help="write what each page sent and received"
    )
    parser.add_argument(
        "scenes", nargs="*", default=list(SCENES), metavar="scene",
        help="; ".join(f"{name}: {scene.__doc__}" for name, scene in SCENES.items()),
    )  # fmt: skip
    given = parser.parse_args()
    if unknown := set(given.scenes) - SCENES.keys():
        parser.error(f"there is no scene {', '.join(unknown)}")
    random.seed(given.seed)
    return 0 if asyncio.run(_soak(given)) else 1


if __name__ == "__main__":
    sys.exit(main())
