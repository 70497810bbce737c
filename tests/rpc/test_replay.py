"""What the real command line and the real director asked of a CPI, asked of ours: the same shapes come out."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cpi_drivers.local.stemcells.small import write_small_stemcell
from fixtures.local_cloud import local_config_file
from tests.rpc.executable import ROOT, request, valid

RECORDED = [json.loads(line) for line in (ROOT / "fixtures/rpc/create-env.jsonl").read_text().splitlines()]
DIRECTOR = [json.loads(line) for line in (ROOT / "fixtures/rpc/director.jsonl").read_text().splitlines()]
CLEAN_UP = {"create_vm": "delete_vm", "create_disk": "delete_disk", "create_stemcell": "delete_stemcell"}
NAMED = {*CLEAN_UP, "create_network", "snapshot_disk", "update_disk"}


class Replay:
    """Speaks to the executable with the words of the recording, each recorded CID replaced by that of our cloud."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "image"
        write_small_stemcell(self._image)
        self._config = local_config_file(folder)
        self._cids: dict[str, str] = {"/stemcell/image": str(self._image)}
        self._made: list[tuple[str, str]] = []

    def ask(self, data: bytes) -> dict[str, Any]:
        """As create-env calls it: the environment handed on, an exit status other than 0 is a failure."""
        command = [sys.executable, "-m", "cpi"]
        environment = {**os.environ, "CPI_CONFIG": str(self._config)}
        return valid(subprocess.run(command, input=data, env=environment, capture_output=True, check=True, timeout=120).stdout)

    def repeat(self, recorded: dict[str, Any]) -> dict[str, Any]:
        """One recorded call."""
        asked = recorded["request"]
        response = self.ask(json.dumps({**asked, "arguments": self._ours(asked["arguments"])}).encode())
        if response["error"] is None and asked["method"] in NAMED:
            theirs, ours = _cid(recorded["response"]["result"]), _cid(response["result"])
            self._cids[theirs] = ours
            if asked["method"] in CLEAN_UP:
                self._made.append((CLEAN_UP[asked["method"]], ours))
        return response

    def clean_up(self) -> None:
        """Remove what was made, last first."""
        for method, cid in sorted(self._made, key=lambda made: made[0] != "delete_vm"):
            assert self.ask(request(method, cid))["error"] is None

    def _ours(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._ours(item) for item in value]
        return self._cids.get(value, value) if isinstance(value, str) else value


def _cid(result: Any) -> str:
    cid = result[0] if isinstance(result, list) else result
    assert isinstance(cid, str)
    return cid


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Replay]:
    """A local cloud of its own, empty again in the end."""
    replay = Replay(tmp_path)
    yield replay
    replay.clean_up()


def shape(value: Any) -> Any:
    """What kind of thing it is, and of what it is made."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def test_create_env_gets_answers_of_the_shapes_it_accepted(replay: Replay) -> None:
    """info with its list of formats and a version, everything else exactly."""
    for recorded in RECORDED:
        response = replay.repeat(recorded)
        assert response["error"] is None, response
        if recorded["request"]["method"] == "info":
            assert shape(response["result"]) == {"stemcell_formats": ["str"] * 3, "api_version": "int"}
        else:
            assert shape(response["result"]) == shape(recorded["response"]["result"])


def test_a_director_gets_answers_of_the_shapes_and_errors_of_the_types_it_accepted(replay: Replay) -> None:
    """Of each method: a VM with its disks lives, is lost and made again; what is not there is refused, or deleted again."""
    for recorded in DIRECTOR:
        response, accepted = replay.repeat(recorded), recorded["response"]
        assert shape(response["result"]) == shape(accepted["result"]), recorded
        assert (response["error"] or {}).get("type") == (accepted["error"] or {}).get("type"), recorded
        assert (response["error"] or {}).get("ok_to_retry") == (accepted["error"] or {}).get("ok_to_retry"), recorded


def test_the_answer_holds_the_networks_as_they_were_asked_for(replay: Replay) -> None:
    """create-env hands them to the agent."""
    for recorded in RECORDED:
        response = replay.repeat(recorded)
        if recorded["request"]["method"] == "create_vm":
            assert response["result"][1]["default"]["ip"] == "10.0.0.6"
            return
    pytest.fail("the recording makes no VM")
