"""The real kubectl, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

BINARY = Path(sys.executable).with_name("kubectl")
TIMEOUT_S = 60.0


class KubectlFailed(AssertionError):
    """kubectl ended otherwise than the test wants; the message holds what it printed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What kubectl printed, and its exit code."""

    out: str
    err: str
    code: int


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Runs kubectl in one namespace ("" for none) with its own home directory."""

    kubeconfig: Path
    home: Path
    namespace: str = ""

    def run(
        self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> Result:
        """Run kubectl, whatever its exit code."""
        done = subprocess.run(
            [BINARY, *self._scope(), *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={**self._environment(), **(env or {})},
            check=False,
        )
        return Result(done.stdout, done.stderr, done.returncode)

    def __call__(
        self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> str:
        """Run kubectl, which must succeed, and return what it printed to stdout."""
        result = self.run(*arguments, stdin=stdin, env=env)
        if result.code != 0:
            raise KubectlFailed(
                f"kubectl {' '.join(arguments)}: exit code {result.code}\n{result.out}{result.err}"
            )
        return result.out

    def fails(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl, which must fail, and return what it printed to stderr."""
        result = self.run(*arguments, stdin=stdin)
        if result.code == 0:
            raise KubectlFailed(f"kubectl {' '.join(arguments)} succeeded:\n{result.out}")
        return result.err

    def apply(self, *objects: dict[str, Any]) -> str:
        return self("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def create(self, *objects: dict[str, Any]) -> str:
        return self("create", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def wait_established(self, definition: str, timeout_s: float = 30.0) -> None:
        """Wait until a CustomResourceDefinition is served.

        `kubectl wait` gives up at once on one that has no conditions yet.
        """
        deadline = time.monotonic() + timeout_s
        while not (self.get("crd", definition)["status"].get("conditions")):
            assert time.monotonic() < deadline, f"{definition} got no conditions"
            time.sleep(0.05)
        self("wait", "--for=condition=Established", f"crd/{definition}", "--timeout=20s")

    def get(self, *arguments: str) -> dict[str, Any]:
        """Run `kubectl get … -o json` and return the parsed object or list."""
        parsed: dict[str, Any] = json.loads(self("get", *arguments, "-o", "json"))
        return parsed

    def rows(self, *arguments: str) -> list[dict[str, str]]:
        """Run `kubectl get …` and return the printed table, a dict for each row."""
        return self.rows_of("get", *arguments)

    def rows_of(self, *arguments: str) -> list[dict[str, str]]:
        """Run kubectl and return the printed table, a dict for each row."""
        return read_table(self(*arguments))

    @contextmanager
    def background(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run kubectl beside the block; it is ended with it."""
        process = subprocess.Popen(
            [BINARY, *self._scope(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment(),
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _scope(self) -> list[str]:
        return [f"--namespace={self.namespace}"] if self.namespace else []

    def _environment(self) -> dict[str, str]:
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.home),  # kubectl keeps its discovery cache there
            "PATH": os.environ["PATH"],
        }


def read_table(table: str) -> list[dict[str, str]]:
    """Read a table as kubectl prints it: columns begin where their headings do."""
    lines = table.splitlines()
    if not lines:
        return []
    heading = lines[0]
    starts = [
        at
        for at, char in enumerate(heading)
        if char != " " and (at == 0 or heading[max(0, at - 3) : at] == "   "[: min(at, 3)])
    ]
    ends: list[int | None] = [*starts[1:], None]
    columns = list(zip(starts, ends, strict=True))
    names = [heading[start:end].strip() for start, end in columns]
    return [
        dict(zip(names, (line[start:end].strip() for start, end in columns), strict=True))
        for line in lines[1:]
    ]
