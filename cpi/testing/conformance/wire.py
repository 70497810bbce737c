"""What only the executable can get wrong: the envelope, the shapes of each api_version, and bytes that are no request."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cpi.contract import errors
from cpi.contract.capability import Capability
from cpi.contract.cloud import Cloud
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.testing.census import Census
from cpi.testing.conformance.fixtures import ContractFixtures, kept
from cpi.testing.faces import command_of
from cpi.testing.harness import Harness
from cpi.testing.ledger import Ledger
from cpi.testing.maker import Maker, fresh_agent_id, fresh_token
from cpi.testing.wire import Wire

_SECRET = "secret-of-a-request-5c2b"  # noqa: S105 - it is none


class WireClauses(ContractFixtures):
    """The executable's own clauses."""

    @pytest.fixture(scope="class")
    @classmethod
    def wire(cls, harness: Harness, folder: Path) -> Wire:
        """The executable."""
        return Wire(command_of(harness, folder))

    @pytest.fixture
    def ledger(self, janitor: Cloud, powers: frozenset[Capability], census: Census) -> Iterator[Ledger]:
        """Remembers what a test makes over the wire, and makes what it needs beside."""
        with kept(janitor, powers, census, janitor) as ledger:
            yield ledger

    @pytest.mark.parametrize(
        "request_bytes",
        [b"", b"{", b"null", b"[1]", b'{"method": "ping"}', b'{"method": 1, "arguments": {}}', b"\xff\xfe", b"[" * 100_000],
        ids=["empty", "cut off", "null", "a list", "no arguments", "wrong types", "no UTF-8", "deeply nested"],
    )
    def test_wire_answers_what_is_no_request_with_an_error(self, wire: Wire, request_bytes: bytes) -> None:
        """A caller gets a valid document, whatever it sent, and exit code 0, without which one of them ignores the document."""
        answer = wire.send(request_bytes)
        assert answer.error["type"] == errors.CpiError.wire_name
        assert answer.error["message"]
        assert answer.exit_code == 0

    def test_wire_writes_one_document_and_nothing_else(self, wire: Wire, harness: Harness) -> None:
        """For a success and for an error alike, with exit code 0."""
        for answer in (wire.call("ping"), wire.call("reboot_vm", harness.absent.vm)):
            assert sorted(answer.document) == ["error", "log", "result"]
            assert answer.exit_code == 0

    def test_wire_names_an_unknown_method_not_implemented(self, wire: Wire) -> None:
        """Callers tell a missing method by this type."""
        assert wire.call("no_such_method").error["type"] == errors.NotImplemented.wire_name

    @pytest.mark.parametrize("arguments", [[], ["a", "b", "c"]], ids=["too few", "too many"])
    def test_wire_names_a_wrong_number_of_arguments_a_cpi_error(self, wire: Wire, arguments: list[str]) -> None:
        """And not NotImplemented, which would send the director another way."""
        error = wire.call("has_vm", *arguments).error
        assert error["type"] == errors.CpiError.wire_name
        assert "has_vm" in error["message"]

    def test_wire_names_a_wrong_argument_by_its_name(self, wire: Wire) -> None:
        """Whoever wrote the call has to find it."""
        error = wire.call("create_disk", "large", {}, None).error
        assert error["type"] == errors.CpiError.wire_name
        assert "size" in error["message"]

    @pytest.mark.parametrize("api_version", [None, 1, 2, 3])
    def test_wire_tells_info_in_every_version(self, wire: Wire, api_version: int | None) -> None:
        """The first info comes without a version, and decides which one is spoken."""
        info = wire.call("info", api_version=api_version).result
        assert info["api_version"] == 3
        assert info["stemcell_formats"]
        assert all(isinstance(form, str) for form in info["stemcell_formats"])

    def test_wire_answers_create_vm_in_the_shape_of_each_version(
        self, wire: Wire, harness: Harness, stemcell_cid: StemcellCid, ledger: Ledger
    ) -> None:
        """A string in version 1, a CID and its networks from version 2 on; null for no disks."""
        networks = {name: network.to_document() for name, network in harness.networks().items()}
        arguments = [fresh_agent_id(), stemcell_cid, dict(harness.vm_cloud_properties), networks, None, dict(harness.env)]
        context = {"token": fresh_token(), "vm": {"stemcell": {"api_version": 3}}}
        shapes = [wire.call("create_vm", *arguments, api_version=version, context=context).result for version in (1, 2, 3)]
        for cid in {shapes[0], shapes[1][0], shapes[2][0]}:
            ledger.adopt_vm(VmCid(cid))
        assert isinstance(shapes[0], str)
        assert shapes[1] == shapes[2]
        assert shapes[1][0] == shapes[0]
        assert shapes[1][1].keys() == networks.keys()

    def test_wire_answers_attach_disk_in_the_shape_of_each_version(
        self, wire: Wire, harness: Harness, stemcell_cid: StemcellCid, vm_cid: VmCid, ledger: Ledger
    ) -> None:
        """Nothing in version 1; from version 2 on a string, or strings by their names."""
        disk_cid = Maker(ledger, harness, stemcell_cid).disk()
        ledger.attach_disk(vm_cid, disk_cid)
        shapes = [wire.call("attach_disk", vm_cid, disk_cid, api_version=version).result for version in (1, 2, 3)]
        assert shapes[0] is None
        assert shapes[1] == shapes[2]
        assert isinstance(shapes[1], str | dict)
        assert shapes[1]

    def test_wire_takes_create_stemcell_with_two_arguments_and_with_three(
        self, wire: Wire, harness: Harness, image_path: str, ledger: Ledger
    ) -> None:
        """Tags came with version 3."""
        properties = dict(harness.stemcell.cloud_properties)
        two = wire.call("create_stemcell", image_path, properties, api_version=2).result
        ledger.adopt_stemcell(StemcellCid(two))
        three = wire.call("create_stemcell", image_path, properties, {"tags": {"team": "blue"}}, api_version=3).result
        ledger.adopt_stemcell(StemcellCid(three))

    def test_wire_takes_null_for_no_vm_and_answers_an_empty_list_for_no_disks(
        self, wire: Wire, harness: Harness, vm_cid: VmCid, ledger: Ledger
    ) -> None:
        """As directors write and read them."""
        cid = wire.call("create_disk", harness.disk_size, dict(harness.disk_cloud_properties), None).result
        ledger.adopt_disk(DiskCid(cid))
        assert wire.call("get_disks", vm_cid).result == []

    def test_wire_carries_the_token_in_the_context(self, wire: Wire, harness: Harness, ledger: Ledger) -> None:
        """The protocol has no other place for it."""
        arguments = [harness.disk_size, dict(harness.disk_cloud_properties), None]
        context = {"token": fresh_token()}
        cids = {wire.call("create_disk", *arguments, context=context).result for _ in range(2)}
        for cid in cids:
            ledger.adopt_disk(DiskCid(cid))
        assert len(cids) == 1

    def test_wire_shows_no_secret_of_a_request(self, wire: Wire, secrets: frozenset[str]) -> None:
        """What a cpi-config brings in the context is shown to nobody, though no driver knows the key."""
        answer = wire.call("has_vm", "any", context={"no_such_password": _SECRET})
        shown = answer.stdout.decode() + answer.stderr
        assert [len(secret) for secret in {*secrets, _SECRET} if secret in shown] == []
