"""What the benchmarks share: a local cloud of their own, calls through the executable, and a table."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@contextmanager
def local_cloud(**settings: object) -> Iterator[Path]:
    """The configuration of a local cloud that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="cpi-bench-") as folder:
        config = Path(folder) / "cpi.json"
        block = {"root": f"{folder}/cloud", **settings}
        config.write_text(json.dumps({"cloud": {"plugin": "local", "properties": {"local": block}}}), encoding="utf-8")
        yield config


def called(config: Path, method: str, *arguments: object, token: str | None = None) -> Any:
    """What the executable answers, in a process of its own as a director starts it."""
    context = {"director_uuid": "bench"} | ({"token": token} if token else {})
    request = {"method": method, "arguments": list(arguments), "context": context, "api_version": 3}
    command = [str(Path(sys.executable).with_name("cpi")), "rpc", "--config", str(config)]
    done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, check=True)
    response = json.loads(done.stdout)
    if response["error"]:
        raise AssertionError(f"{method}: {response['error']['type']}: {response['error']['message']}")
    return response["result"]


def bare_python_seconds(times: int = 15) -> float:
    """The median time of `python -I -c pass`: what a process costs on this machine, now."""
    command = [sys.executable, "-I", "-c", "pass"]
    return statistics.median(seconds(lambda: subprocess.run(command, check=True)) for _ in range(times))


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(width=120)
    console.print(f"[bold]{title}")
    console.print(table)
    console.print()
