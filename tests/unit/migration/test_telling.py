"""What tools in the guest say, made figures and names."""

import msgspec
import pytest

from cpi.contract import errors
from cpi.migration.copying import told_bytes, why_no_room
from cpi.migration.foretelling import Sample, expected_down_seconds, expected_seconds, sample_from
from cpi.migration.guest import Room, room_from, rsync_version, unreadable
from cpi.migration.report import Strategy
from cpi.migration.verifying import told as names_told


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("rsync  version 3.2.7  protocol version 31", (3, 2, 7)),
        ("rsync  version v3.1.2  protocol version 31", (3, 1, 2)),
        ("rsync: not found", ()),
        ("", ()),
    ],
)
def test_a_version_is_read_or_unknown(line: str, version: tuple[int, ...]) -> None:
    """As rsync prints it."""
    assert rsync_version(line) == version


def test_how_far_a_copy_is() -> None:
    """The last whole figure of either tool."""
    assert told_bytes(b"\r      1,024   0%    1.00MB/s    0:00:01\r     32768  25%   31.25MB/s") == 32768
    assert told_bytes(b"4096\n8192\n") == 8192
    assert told_bytes(b"cp: cannot open") is None


def test_what_cannot_be_read_is_named_with_what_to_do() -> None:
    """A few of the paths, long ones shortened in the middle."""
    said = b"cannot read /store/./a: Input/output error\n" * 7 + b"cannot open /store/" + b"x" * 4000 + b"/leaf: Bad message\n"
    told = unreadable(said)
    assert told.startswith("not everything can be read: cannot read /store/a: Input/output error; ")
    assert " and 3 more" in told
    assert "fsck -f" in told
    assert "shorten" in unreadable(b"cannot open /store/x: File name too long\n")


def test_names_of_what_differs_are_shown_without_what_a_terminal_obeys() -> None:
    """Five of them, and how many more."""
    assert names_told([b"a\nb", b"\xff", b"\x1b[1m"]) == "a?b, \ufffd, ?[1m"
    assert names_told([b"n"] * 8) == "n, n, n, n, n and 3 more"


def test_room_is_compared_in_bytes_and_inodes() -> None:
    """The figures are told; a filesystem that makes inodes as they are needed has enough."""
    used = room_from("ext 1000 50 7 9")
    assert used == Room(1000, 50, 7, 9, "ext")
    assert why_no_room(used, Room(100, 10, 900, 40)) == ""
    assert why_no_room(used, Room(100, 10, 899, 40)) == "1000 bytes are used, and the new disk has room for 999"
    assert why_no_room(used, Room(100, 10, 900, 39)) == "50 inodes are used, and the new disk has 49"
    assert why_no_room(used, room_from("xfs 100 1 900 1")) == ""


def test_a_sample_foretells_the_time() -> None:
    """What changes has to be read four times, what does not change costs no time with the jobs down."""
    sample = sample_from(b"10 1000000\n1 500\n2000000000\n100000\n100000000\n")
    assert sample == Sample(10, 1_000_000, 1, 500, 2.0, 1e6)
    assert expected_down_seconds(Strategy.LIVE_COPY, sample) == pytest.approx(4.002)
    assert expected_down_seconds(Strategy.COPY, sample) == 6.0
    assert expected_down_seconds(Strategy.NOTHING, None) == 0.0
    assert expected_down_seconds(Strategy.COPY, None) is None
    assert expected_seconds(Strategy.LIVE_COPY, sample) == pytest.approx(23.002)
    slow = msgspec.structs.replace(sample, answer_seconds=1.0, task_seconds=0.5)
    assert expected_down_seconds(Strategy.LIVE_COPY, slow) == pytest.approx(4.002 + 5 + 4)
    assert expected_seconds(Strategy.COPY, slow) == 6.0 + 6
    assert sample_from(b"1 1 0 0 1 0 1").rate is None
    for strategy in (Strategy.COPY, Strategy.LIVE_COPY):
        down, in_all = expected_down_seconds(strategy, slow), expected_seconds(strategy, slow)
        assert down is not None
        assert in_all is not None
        assert down <= in_all
    with pytest.raises(errors.CloudError, match="seven numbers"):
        sample_from(b"1 2")
