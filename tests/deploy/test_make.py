"""What the Makefile starts: on which port, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.clients import eventually
from tests.support.ports import free_port
from tests.support.processes import ROOT, Process, tool, until_open, until_ready


class Make(Process):
    """``make`` as on a terminal: in a process group, to which Ctrl-C sends SIGINT.

    It uses the environment of the tests, and has nothing to install.
    """

    def __init__(self, home: Path, target: str, **env: str) -> None:
        venv = home / "venv"
        (venv / "bin").mkdir(parents=True)
        python = venv / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        for extras in (".run", ".dev"):
            (venv / extras).touch()
        self.mark = f"MAKE_TEST={home}"
        command = (tool("make"), "--no-print-directory", f"VENV={venv}", target)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        super().__init__(*command, env={"PATH": path, "MAKE_TEST": str(home), **env})

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, env=self.env, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def interrupt(self) -> str:
        """Press Ctrl-C; wait for the end; return what was printed."""
        os.killpg(self.pid, signal.SIGINT)
        await self.wait()
        return self.output()

    def left(self) -> list[str]:
        """Return the commands of the processes that it has started and that still run."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:  # ended meanwhile, or of somebody else
                continue
        return found


@pytest.mark.parametrize("target", ["run", "dev"])
async def test_one_node_listens_on_its_port_and_ends_with_ctrl_c_without_an_error(
    tmp_path: Path, target: str
) -> None:
    make = Make(tmp_path, target, COLLAB_PORT=str(free_port()), REDIS_URL="")
    await make.start()
    try:
        await until_ready(f"http://127.0.0.1:{make.env['COLLAB_PORT']}", make)
        output = await make.interrupt()
        await eventually(lambda: not make.left(), "processes are left")
    finally:
        if make.running:
            os.killpg(make.pid, signal.SIGKILL)
    assert "***" not in output, output
    # adev lets Ctrl-C interrupt a node wherever it is, which is at times a traceback.
    assert target == "dev" or "Traceback" not in output, output


async def test_the_cluster_ends_with_ctrl_c_without_an_error(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(7)]
    names = ("CLUSTER_PORT", "CLUSTER_API_PORT", "CLUSTER_REDIS_PORT")
    make = Make(
        tmp_path, "cluster", CLUSTER_HOME=str(tmp_path / "cluster"),
        CLUSTER_NODE_PORTS=" ".join(map(str, ports[3:])),
        **dict(zip(names, map(str, ports), strict=False)),
    )  # fmt: skip
    await make.start()
    try:
        for port in ports:
            await until_open(port, make)
        await eventually(lambda: make.output().count('"event":"ready"') == 4)
        output = await make.interrupt()
        await eventually(lambda: not make.left(), "processes are left")
    finally:
        if make.running:
            os.killpg(make.pid, signal.SIGTERM)
            await make.wait()
    assert "***" not in output and "Error" not in output, output
    assert "Traceback" not in output and "SIGKILL" not in output, output
    assert output.count('"event":"draining"') == output.count('"event":"stopped"') == 4
