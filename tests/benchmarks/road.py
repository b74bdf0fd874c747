"""How fast, and in how much memory, returns get from the warehouse to customs: the floor, a script, the connector.

::

    python tests/benchmarks/road.py                     # 2,000 returns, a table
    python tests/benchmarks/road.py --returns 500 --json
    python tests/benchmarks/road.py --memory            # peak memory at 1,000, 10,000 and 100,000 returns

Each contender (`floor`, `script`, `ours`) runs in a process of its own on the same sample enterprise, against a fresh
simulated customs office in another process. What counts is what the office has taken in, by its own books; start-up is
never counted. README.md says what is measured and what is not. Linux only: peak memory is read from /proc.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import runpy
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.request import urlopen

MEMORY_STEPS = (1_000, 10_000, 100_000)
FINAL = "take receipts"

Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description="The floor, an afternoon's script and the connector, side by side.")
    parser.add_argument("--returns", type=int, default=2_000, metavar="N", help="returned parcels (default 2,000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed, the same returns")
    parser.add_argument("--memory", action="store_true", help="peak memory of the connector at three sizes instead")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--contender", nargs=2, metavar=("NAME", "DIR"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        sys.stdout.write(json.dumps(contend(given.contender[0], Path(given.contender[1]))))
        return
    measured = measure_memory(given.seed) if given.memory else measure_speed(given.returns, given.seed)
    show = show_memory if given.memory else show_speed
    sys.stdout.write((json.dumps(measured, indent=2) if given.json else "\n".join(show(measured))) + "\n")


def measure_speed(returns: int, seed: int) -> list[Figures]:
    """Figures of every contender, on the same returns."""
    with sample(returns, seed) as folder:
        measured = [start("ours", folder), start("floor", folder), start("script", folder)]
    ours, floor, script = measured
    if ours["books"] != script["books"]:
        raise SystemExit("the connector and the script did not declare the same documents: nothing is comparable")
    floor |= {"documents": ours["documents"], "messages": ours["messages"]}
    for one in measured:
        del one["books"]
    return [floor, script, ours]


def measure_memory(seed: int) -> list[Figures]:
    """Figures of the connector at growing sizes, each in a fresh process."""
    measured = []
    for returns in MEMORY_STEPS:
        with sample(returns, seed) as folder:
            figures = start("ours", folder) | {"returns": returns}
            del figures["books"]
            measured.append(figures)
    return measured


@contextmanager
def sample(returns: int, seed: int) -> Iterator[Path]:
    """A sample enterprise in a folder that is removed afterwards; its customs office answers without delay."""
    from connector.demo.enterprise import build  # noqa: PLC0415 - a contender's memory should hold only its own imports
    from connector.demo.office import free_port  # noqa: PLC0415 - the same

    say(f"building a sample enterprise of {returns:,} returns")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as place:
        enterprise = build(Path(place) / "sample", returns=returns, seed=seed, port=free_port(), suite="rsa-sha1")
        registry = enterprise.registry.read_text("utf-8")
        undelayed = re.sub(r"(?m)^stage_seconds = .*$", "stage_seconds = 0", registry)
        enterprise.registry.write_text(undelayed, "utf-8")
        yield enterprise.directory


def start(name: str, folder: Path) -> Figures:
    """Run one contender in a process of its own and read the office's books afterwards."""
    say(f"running: {name}")
    for old in folder.glob("customs.db*"):
        old.unlink()
    command = [sys.executable, __file__, "--contender", name, str(folder)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    figures: Figures = json.loads(finished.stdout)
    return figures | (books(folder / "customs.db") if name != "floor" else {"books": []})


def contend(name: str, folder: Path) -> Figures:
    """Be a contender: marks in seconds of wall clock and of this process's CPU, from its first mark on."""
    marks: list[Figures] = []

    def mark(what: str) -> None:
        say(f"  {name}: {what}")
        marks.append({"step": what, "wall": time.perf_counter(), "cpu": time.process_time(), "peak": peak_memory()})

    with office(folder) if name != "floor" else nullcontext():
        runpy.run_path(str(Path(__file__).with_name(f"{name}.py")))["run"](folder, mark)
    server = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = marks[0]
    for one in reversed(marks):
        one["wall"], one["cpu"] = one["wall"] - begin["wall"], one["cpu"] - begin["cpu"]
    return {"name": name, "marks": marks, "peak": marks[-1]["peak"], "server_cpu": server.ru_utime + server.ru_stime}


@contextmanager
def office(folder: Path) -> Iterator[None]:
    """The simulated customs office, ready to answer: it has read its export lists."""
    from connector.demo.office import running_office  # noqa: PLC0415 - the floor should not hold it in memory

    submit_url = tomllib.loads((folder / "connector.toml").read_text("utf-8"))["customs"]["submit_url"]
    with running_office(folder / "registry.toml", int(submit_url.rpartition(":")[2].partition("/")[0])):
        urlopen(f"{submit_url}?wsdl").close()
        yield


def books(customs: Path) -> Figures:
    """What the office has taken in: how many documents and messages, and which documents with what verdict."""
    with closing(sqlite3.connect(customs)) as connection:
        taken = connection.execute("SELECT type, business_key, code FROM declarations ORDER BY 1, 2").fetchall()
        (messages,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    return {"documents": len(taken), "messages": messages, "books": taken}


def peak_memory() -> int:
    """The most memory this process has had in use, in bytes; getrusage would also count what its parent had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found
    return int(found.group(1)) * 1024


def show_speed(measured: Sequence[Figures]) -> Iterator[str]:
    """The contenders side by side, then where the connector's time goes."""
    floor, script, ours = measured
    rows = [
        ("floor", floor, floor["marks"][-1]),
        ("script", script, script["marks"][-1]),
        ("connector, to delivered", ours, next(one for one in ours["marks"] if one["step"] == "deliver")),
        ("connector, to all receipts final", ours, ours["marks"][-1]),
    ]
    pace = {what: figures["documents"] / mark["wall"] for what, figures, mark in rows}
    yield f"{ours['documents']:,} documents taken in by customs, in {ours['messages']:,} messages of the connector"
    yield f"{'':34}{'messages':>9}{'seconds':>9}{'docs/s':>9}{'x script':>9}{'own CPU s':>11}{'peak MB':>9}"
    for what, figures, mark in rows:
        yield (
            f"{what:34}{figures['messages']:>9,}{mark['wall']:>9.2f}{pace[what]:>9,.0f}"
            f"{pace[what] / pace['script']:>9.2f}{mark['cpu']:>11.2f}{figures['peak'] / 1e6:>9.0f}"
        )
    yield ""
    yield "CPU seconds of the server they sent to, over the whole run: " + ", ".join(
        f"{figures['name']} {figures['server_cpu']:.2f}" for figures in measured
    )
    yield ""
    yield from show_steps(ours)


def show_steps(ours: Figures) -> Iterator[str]:
    """Where the connector's time goes."""
    yield f"{'the connector, step by step':34}{'seconds':>9}{'own CPU s':>11}{'peak MB':>9}"
    for before, one in zip(ours["marks"], ours["marks"][1:], strict=False):
        wall, cpu = one["wall"] - before["wall"], one["cpu"] - before["cpu"]
        yield f"{one['step']:34}{wall:>9.2f}{cpu:>11.2f}{one['peak'] / 1e6:>9.0f}"


def show_memory(measured: Sequence[Figures]) -> Iterator[str]:
    """Peak memory of the connector by size."""
    steps = [one["step"] for one in measured[0]["marks"]]
    yield "peak memory of the connector in MB, after each step"
    yield f"{'returns':>10}{'documents':>11}{'seconds':>9}" + "".join(f"{step:>15}" for step in steps)
    for figures in measured:
        peaks = "".join(f"{one['peak'] / 1e6:>15.0f}" for one in figures["marks"])
        yield f"{figures['returns']:>10,}{figures['documents']:>11,}{figures['marks'][-1]['wall']:>9.0f}{peaks}"


def say(what: str) -> None:
    """Progress, for people."""
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    main()
