"""What is wrong with the words of a command about moves is told in a sentence, before anything begins."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cpi.cli.ages import seconds_of
from cpi.cli.app import app
from cpi.cli.following import words_of
from cpi.cli.migration_options import entry_of
from cpi.cli.migrations import newest
from cpi.contract import errors
from cpi.contract.ids import DiskCid, VmCid
from cpi.contract.units import MiB
from cpi.migration.durable.entry import Entry
from cpi.migration.durable.records import MoveRecord, Standing
from cpi.migration.fleet import read_fleet

_WISH: tuple[str, ...] = ("--config", "c.json", "--vm", "v", "--disk", "d", "--size", "1G")


def _fault_of(*words: str) -> str:
    """What the command says when it is refused; nothing else may be raised."""
    done = CliRunner().invoke(app, list(words))
    assert isinstance(done.exception, errors.Error), done.exception
    return done.exception.message


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--size", "big"), "--size: invalid size 'big'"),
        (("--old-size", "0"), "--old-size: invalid size '0'"),
        (("--bandwidth", "fast"), "--bandwidth: invalid size 'fast'"),
        (("--properties", "["), "--properties: not JSON"),
        (("--old-properties", "[]"), "--old-properties: expected a JSON object"),
        (("--strategy", "teleport"), "unknown --strategy 'teleport'; known strategies: auto, nothing, native_resize"),
        (("--agent-url", "https://[::1"), "is not a valid URL"),
        (("--agent-url", "https://host:99999"), "is not a valid URL"),
        (("--agent-url", "ftp://host"), "neither https://HOST:PORT nor nats://HOST:PORT"),
        (("--agent-url", "https://host:6868"), "agent.login: required for an agent at https://"),
        (("--picture", "move.png"), "the file name must end with .svg"),
        (("--picture", "/dev/null/none/move.svg"), "folder not found: /dev/null/none"),
        (("--picture", "move.svg", "--dry-run"), "--dry-run cannot be combined with --picture"),
        (("--queue-only",), "cannot be combined with --queue-only"),
        (("--resume", "m"), "--resume cannot be combined with --vm, --disk, --size"),
        (("--fleet", "f.yml", "--dry-run"), "--fleet cannot be combined with --vm, --disk, --size, --dry-run"),
        ((), "the configuration c.json does not exist"),
    ],
)
def test_what_can_not_be_meant_is_refused(words: tuple[str, ...], told: str) -> None:
    """Naming the option, and what it should have been."""
    assert told.replace("c.json", str(Path("c.json").absolute())) in _fault_of("migrate", *_WISH, *words)


@pytest.mark.parametrize("command", [("migrations",), ("migrations", "cancel", "m"), ("migrations", "show", "m")])
def test_a_file_that_is_no_database_is_told(command: tuple[str, ...], tmp_path: Path) -> None:
    """It may be somebody's, and stays as it is."""
    file = tmp_path / "precious"
    file.write_text("something else\n")
    assert str(file) in _fault_of(*command, "--database", f"sqlite:///{file}")
    assert file.read_text() == "something else\n"


def test_limits_are_taken_in_the_units_of_people() -> None:
    """A rate as a size a second."""
    entry = entry_of({"config": "c", "vm": "v", "disk": "d", "size": "1G", "bandwidth": "50M", "down_seconds": 0.0})
    assert (entry.limits.bandwidth_kib, entry.limits.down_seconds) == (50 * 1024, 0)


def test_a_fleet_names_files_as_seen_from_its_own(tmp_path: Path) -> None:
    """A worker elsewhere has another working folder."""
    file = tmp_path / "fleet.yml"
    agent = "agent: {url: 'https://h:1', login: login, ca: /ca.pem}"
    file.write_text(f"moves: [{{config: cpi.json, vm: v, disk: d, size: 1G, limits: {{bandwidth_kib: 5}}, {agent}}}]\n")
    (entry,) = read_fleet(str(file))
    assert (entry.config, entry.agent.login, entry.agent.ca) == (f"{tmp_path}/cpi.json", f"{tmp_path}/login", "/ca.pem")
    assert entry.order("m").limits.bandwidth_kib == 5


@pytest.mark.parametrize("limits", ["{fast: 1}", "{bandwidth_kib: -1}", "{most_passes: 0}"])
def test_limits_that_make_no_sense_are_faults_of_the_file(limits: str, tmp_path: Path) -> None:
    """As every other fault."""
    file = tmp_path / "fleet.yml"
    file.write_text(f"moves: [{{config: /c, vm: v, disk: d, size: 1G, limits: {limits}}}]\n")
    with pytest.raises(errors.CpiError, match=r"moves\[1\]"):
        read_fleet(str(file))


@pytest.mark.parametrize("age", ["5y", "-1d", "d", "9999999999999d", ""])
def test_an_age_that_is_none_is_told(age: str) -> None:
    """With an example."""
    with pytest.raises(errors.CpiError, match="use 12h, 5d or 2w"):
        seconds_of("--older-than", age)


def _record(number: int, standing: Standing) -> MoveRecord:
    entry = Entry("/c", VmCid("v"), DiskCid("d"), MiB(1))
    return MoveRecord(str(number), standing, entry, float(number))


def test_a_list_that_is_longer_than_the_screen_shows_what_goes_on() -> None:
    """Then what began last, in the order of their making."""
    ended = [_record(number, Standing.MOVED) for number in range(1, 9)]
    shown = newest([_record(0, Standing.UNDER_WAY), *ended], 3)
    assert [record.move_id for record in shown] == ["0", "7", "8"]


def test_progress_is_told_with_its_figures() -> None:
    """Pass, bytes, rate, what had changed, and how long the jobs would be down now."""
    told: dict[str, Any] = {"number": 2, "copied_bytes": 3 << 20, "of_bytes": 4 << 20, "rate": float(5 << 20)}
    event = {"message": "copy", "progress": {**told, "changed_bytes": 6 << 20, "expected_down_seconds": 1.25}}
    assert words_of(event) == "pass 2, 3 of 4 MiB, 5 MiB/s, 6 MiB had changed, jobs down for about 1.2 s"
    assert words_of(json.loads('{"message": "stop the jobs"}')) == "stop the jobs"
