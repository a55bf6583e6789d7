"""What a process does after its HTTP server: SIGTERM ends the server, not the process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
import uvicorn
from shared.gracefulserver import GracefulServer

async def main():
    server = GracefulServer(
        uvicorn.Config(None, port=0, lifespan="off", log_config=None, access_log=False)
    )
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        print("started", flush=True)
        await serving
    print("cleaned up", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_comes_after_the_server_is_done_when_a_signal_ends_it(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=20)
    assert (rest, process.returncode) == ("cleaned up\n", 0)
