"""A cloud that echoes a secret into the failure of a move: it is in no row, no report, no picture and no line of the log."""

import json
import logging
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from cpi.contract import errors
from cpi.contract.units import MiB
from cpi.durable.database import database
from cpi.kit.waiting import wait_until
from cpi.migration.durable import workflow
from cpi.migration.durable.entry import Entry
from cpi.migration.picture import picture
from cpi.migration.report import Strategy
from cpi_drivers.local.cloud import LocalCloud
from tests.migration.database_vm import MakeVm

_SECONDS = 90.0
_CANARY = 'cana"ry<of the>/operator'
_FORMS = (_CANARY, json.dumps(_CANARY)[1:-1], quote(_CANARY), quote(_CANARY, safe=""), b64encode(_CANARY.encode()).decode())


@pytest.mark.parametrize("kind", [errors.CloudError, RuntimeError])
@pytest.mark.parametrize("call", ["create_disk", "attach_disk"])
def test_a_failed_move_keeps_and_shows_no_secret(
    make_vm: MakeVm, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    kind: type[Exception], call: str,
) -> None:  # fmt: skip
    """Whether the driver knew the refusal or not; the secret is one of the configuration."""
    caplog.set_level(logging.DEBUG, "cpi")
    vm = make_vm(64, 1)
    document = json.loads(config.read_text())
    document["cloud"]["properties"]["blobstore"] = {"provider": "dav", "options": {"password": _CANARY}}
    config.write_text(json.dumps(document))
    real = getattr(LocalCloud, call)

    def refuse(cloud: LocalCloud, *arguments: object) -> object:
        if call == "attach_disk" and vm.disk_cid in arguments:
            return real(cloud, *arguments)
        raise kind(f"the cloud echoes {' | '.join(_FORMS)}")

    monkeypatch.setattr(LocalCloud, call, refuse)
    kept = database(f"sqlite:///{tmp_path}/state/moves.sqlite")
    with workflow.Engine(kept, pytest.fail) as engine:
        move_id = engine.start(Entry(str(config), vm.vm_cid, vm.disk_cid, MiB(96), strategy=Strategy.COPY))
        wait_until(lambda: engine.book.move(move_id).standing.is_over and engine.is_idle, move_id, deadline_seconds=_SECONDS)
        record = engine.book.move(move_id)
    assert record.outcome is not None
    assert "the cloud echoes <redacted>" in record.outcome.message
    assert kept.path is not None
    rows = b"".join(path.read_bytes() for path in kept.path.parent.rglob("*") if path.is_file())
    out = [repr(record), rows.decode("latin-1"), caplog.text]
    if record.outcome.report is not None:
        out += [repr(record.outcome.report), picture(record.outcome.report)]
    assert [form for form in _FORMS for text in out if form in text] == []
