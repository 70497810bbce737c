"""Which disks an instance has now: by the records of moves, by tags, and never one that a move has in hand."""

from typing import Any, ClassVar

import pytest

from cpi.contract import errors
from cpi.contract.ids import DiskCid, StemcellCid, VmCid
from cpi.durable.succession import Hold, Succession, disk_lock
from cpi.resurrection.disks import Disks, DisksInHand
from cpi.resurrection.instance import Instance

_INSTANCE = Instance(
    name="db/0",
    config="/c.json",
    vm=VmCid("vm-1"),
    stemcell=StemcellCid("s"),
    networks={},
    group="db",
    disks=(DiskCid("a"), DiskCid("z")),
)


def _lock(disk: str) -> str:
    return disk_lock("local", disk)


class _Cloud:
    """One that shows tags."""

    def __init__(self, **heirs: str) -> None:
        self._heirs = heirs

    def disk_tags(self, disk_cid: DiskCid) -> dict[str, str]:
        """As in ShowsDiskTags."""
        if disk_cid == "gone":
            raise errors.DiskNotFound("gone")
        heir = self._heirs.get(disk_cid)
        return {"replaced_by": heir} if heir else {"name": "x"}


class _Records:
    """What moves have written down, which may change when a lock is taken."""

    def __init__(self, seen: Succession, then: Succession | None = None, *, taken: bool = False) -> None:
        self._seen = seen
        self._then = then
        self._taken = taken
        self.held: set[str] = set()

    def look(self) -> Succession:
        """As in DiskRecords."""
        return self._then if self._then is not None and self.held else self._seen

    unreadable: ClassVar[dict[str, str]] = {}

    def hold(self, name: str) -> bool:
        """As in DiskRecords."""
        self.held.add(name)
        return not self._taken

    def release(self, name: str) -> None:
        """As in DiskRecords."""
        self.held.remove(name)


def _disks(records: _Records | None, cloud: Any) -> tuple[str, ...]:
    return Disks(records).present(_INSTANCE, "local", cloud).disks


def test_disks_are_followed_through_every_move_by_records_and_by_tags() -> None:
    """In whatever order databases and tags have to be asked; a ring of them ends."""
    records = _Records(Succession({_lock("a"): DiskCid("b"), _lock("c"): DiskCid("d")}))
    assert _disks(records, _Cloud(b="c")) == ("d", "z")
    assert _disks(None, _Cloud(a="b", b="gone")) == ("gone", "z")
    assert _disks(None, _Cloud(a="b", b="a")) == ("b", "z")
    assert _disks(None, object()) == ("a", "z")
    assert _disks(_Records(Succession({disk_lock("aws", "a"): DiskCid("b")})), object()) == ("a", "z")


def test_an_instance_that_does_not_follow_moves_has_the_disks_that_its_file_names() -> None:
    """Somebody went back to the old disk by hand, and says so."""
    import msgspec

    instance = msgspec.structs.replace(_INSTANCE, follow_moves=False)
    records = _Records(Succession({_lock("a"): DiskCid("b")}, {_lock("b"): Hold("m")}))
    assert Disks(records).present(instance, "local", _Cloud(a="c")).disks == ("a", "z")  # type: ignore[arg-type]  # enough of one
    assert Disks(records).in_hand(instance, "local") == ""


def test_a_disk_in_the_hand_of_a_move_is_not_lent() -> None:
    """The one that it is now; the locks that were taken before are given back."""
    seen = Succession({_lock("a"): DiskCid("b")}, {_lock("b"): Hold("move-1", is_left=True)})
    disks = Disks(_Records(seen))
    assert "cpi migrate --resume move-1" in disks.in_hand(_INSTANCE, "local")
    assert disks.is_left(_INSTANCE, "local")
    with pytest.raises(DisksInHand, match="move-1"), disks.kept_from_moves(_INSTANCE, "local", _Cloud()):  # type: ignore[arg-type]  # enough of one
        pytest.fail("it was lent")
    began_meanwhile = _Records(Succession(), Succession({}, {_lock("a"): Hold("move-2")}))
    with pytest.raises(DisksInHand, match="move-2"), Disks(began_meanwhile).kept_from_moves(_INSTANCE, "local", _Cloud()):  # type: ignore[arg-type]  # enough of one
        pytest.fail("it was lent")
    held_elsewhere = _Records(Succession(), taken=True)
    with pytest.raises(DisksInHand), Disks(held_elsewhere).kept_from_moves(_INSTANCE, "local", _Cloud()):  # type: ignore[arg-type]  # enough of one
        pytest.fail("it was lent")


def test_disks_that_are_lent_are_locked_also_those_that_replaced_others_meanwhile() -> None:
    """A move that ended between the look and the lock: its disk is the one that is lent, and locked."""
    records = _Records(Succession(), Succession({_lock("a"): DiskCid("b")}))
    with Disks(records).kept_from_moves(_INSTANCE, "local", _Cloud()) as present:  # type: ignore[arg-type]  # enough of one
        assert present.disks == ("b", "z")
        assert records.held == {_lock("a"), _lock("b"), _lock("z")}
    assert records.held == set()
