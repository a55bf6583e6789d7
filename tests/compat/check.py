"""Compare the server's answers with recorded ones of kube-apiserver, and with what it got before.

    python -m tests.compat.check --suite DIR [--system embedded] [AREA ...]

DIR holds replay.py, tokens.csv and scenarios/AREA/*.yaml. For each area the number of steps that
were answered right must not fall below floors.json; raise the floors when it has grown
(--raise-floors). Exit status 1 where one is below.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import system

FLOORS = Path(__file__).with_name("floors.json")
SYSTEMS = ("embedded", "etcd", "replicas")
"""One server on either store, or three behind a load balancer (`kubefan up --replicas 3`)."""
DEFAULT_SYSTEMS = ("embedded", "replicas")
AREA_TIMEOUT_S = 180.0
UNBUILT_TIMEOUT_S = 60.0
"""For the areas whose scenarios wait out their retries for what is not built yet."""
UNBUILT = ("admission", "aggregation")
LEFT_OUT = ("aggregation",)
"""Unless it is named: nothing of it is answered within that time."""

# One line of `replay.py -q`: "ok   3/3 scenarios/crud/create.yaml"
_SCENARIO = re.compile(rb"^(?:ok  |FAIL) (\d+)/(\d+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Score:
    """Steps answered right, of how many; `whole` is False where the time ran out."""

    passed: int
    steps: int
    seconds: float
    whole: bool


def main() -> int:
    arguments = _parser().parse_args()
    suite: Path = arguments.suite
    present = {path.name for path in (suite / "scenarios").iterdir()}
    areas = arguments.areas or sorted(present.difference(LEFT_OUT))
    floors: dict[str, int] = json.loads(FLOORS.read_text())
    systems = arguments.system or DEFAULT_SYSTEMS
    # One system a processor: most of a replay is waiting.
    with concurrent.futures.ThreadPoolExecutor(len(systems)) as pool:
        scores = dict(
            zip(
                systems,
                pool.map(lambda name: _score(suite, name, areas, floors), systems),
                strict=True,
            )
        )
    low = False
    for name, by_area in scores.items():
        passed, steps = (
            sum(getattr(score, field) for score in by_area.values())
            for field in ("passed", "steps")
        )
        below = _below(by_area, floors)
        print(f"{name}: {passed}/{steps} steps; below their floors: {', '.join(below) or 'none'}")
        low |= bool(below)
    if arguments.raise_floors:
        _raise_floors(floors, scores.values())
    return 1 if low else 0


def _score(
    suite: Path, name: str, areas: Sequence[str], floors: Mapping[str, int]
) -> dict[str, Score]:
    scores = {}
    with _server(suite, name) as server:
        for area in areas:
            score = scores[area] = _replay(suite, area, server.url)
            print(_line(name, area, score, floors.get(area, 0)), flush=True)
    return scores


@contextmanager
def _server(suite: Path, name: str) -> Iterator[system.Server]:
    """Run a server as the recorded one was run."""
    flags = [
        "--authorization-mode=Node,RBAC",
        f"--token-auth-file={suite / 'tokens.csv'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--allow-privileged=true",
        "--service-account-issuer=https://localhost",
        "--disable-admission-plugins=ServiceAccount",
    ]
    with tempfile.TemporaryDirectory(prefix="kubefan-compat-") as folder:
        data_dir = Path(folder)
        if name == "embedded":
            with system.apiserver(data_dir, *flags) as server:
                yield server
            return
        if name == "replicas":
            # The recorded server had no controllers beside it.
            with system.system(data_dir, "--replicas=3", "--controllers=", *flags) as server:
                yield server
            return
        with (
            system.etcd(data_dir) as etcd,
            system.apiserver(data_dir, f"--etcd-servers={etcd}", *flags) as server,
        ):
            yield server


def _replay(suite: Path, area: str, url: str) -> Score:
    command = [sys.executable, "-u", str(suite / "replay.py"), "--server", url, "-q"]
    start = time.monotonic()
    try:
        output = subprocess.run(
            [*command, str(suite / "scenarios" / area)],
            stdout=subprocess.PIPE,
            timeout=timeout_of(area),
            check=False,  # its status says that something differs: floors judge that
        ).stdout
        whole = True
    except subprocess.TimeoutExpired as expired:
        output, whole = expired.stdout or b"", False
    scenarios = [(int(good), int(total)) for good, total in _SCENARIO.findall(output)]
    return Score(
        passed=sum(good for good, _ in scenarios),
        steps=sum(total for _, total in scenarios),
        seconds=time.monotonic() - start,
        whole=whole,
    )


def timeout_of(area: str) -> float:
    return UNBUILT_TIMEOUT_S if area in UNBUILT else AREA_TIMEOUT_S


def _below(scores: Mapping[str, Score], floors: Mapping[str, int]) -> list[str]:
    return [area for area, score in scores.items() if score.passed < floors.get(area, 0)]


def _line(name: str, area: str, score: Score, floor: int) -> str:
    share = f"{score.passed}/{score.steps}"
    verdict = f"BELOW the floor of {floor}" if score.passed < floor else f"floor {floor}"
    cut = "" if score.whole else f", cut off after {timeout_of(area):.0f} s"
    return f"{name:<9} {area:<16} {share:>11} steps  {score.seconds:4.0f} s  {verdict}{cut}"


def _raise_floors(floors: dict[str, int], results: Iterable[Mapping[str, Score]]) -> None:
    """Set each floor to the lowest score, where that is higher than it was."""
    for scores in zip(*(result.items() for result in results), strict=True):
        area = scores[0][0]
        floors[area] = max(floors.get(area, 0), min(score.passed for _, score in scores))
    FLOORS.write_text(json.dumps(dict(sorted(floors.items())), indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--system", action="append", choices=SYSTEMS, help="default: embedded and replicas"
    )
    parser.add_argument("--raise-floors", action="store_true")
    parser.add_argument("areas", nargs="*", metavar="AREA")
    return parser


if __name__ == "__main__":
    sys.exit(main())
