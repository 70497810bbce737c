"""Tags: who made it, and metadata cut to what a cloud takes."""

from cpi.contract.model import CallContext
from cpi.kit.tagging import BOSH_NAMES, Limits, birth_tags, fitted

_LIMITS = Limits(key=5, value=6, number=20)


def test_birth_tags_tell_maker_director_request_and_token() -> None:
    """And nothing that is not known."""
    context = CallContext(director_uuid="d", request_id="r")
    assert birth_tags(context, "t") == {
        "multicpi": "1",
        "multicpi-director": "d",
        "multicpi-request": "r",
        "multicpi-token": "t",
    }
    assert birth_tags(CallContext()) == {"multicpi": "1"}


def test_names_and_values_are_cut_and_nulls_left_out() -> None:
    """Numbers and nested values become text."""
    metadata = {"much too long": "value too long", "n": 7, "none": None, "": "no name"}
    assert fitted(metadata, _LIMITS) == {"much ": "value ", "n": "7"}


def test_characters_that_no_cloud_can_show_become_blanks() -> None:
    """An escape of a terminal, half a character: vSphere's XML, for one, cannot hold them, and the call would end."""
    limits = Limits(key=20, value=20, number=20)
    metadata = {"a\x1bb": "x\x00y\ud800z\x7f", "tab": "a\tb\nc", "letters": "Größe ✓"}
    assert fitted(metadata, limits, first=()) == {"a b": "x y z ", "tab": "a\tb\nc", "letters": "Größe ✓"}


def test_a_directors_names_always_find_room() -> None:
    """However many other tags there are, on the thing or in the call."""
    crowd = {f"x{number}": "" for number in range(50)}
    others = fitted(crowd, _LIMITS)
    assert len(others) == _LIMITS.number - len(BOSH_NAMES)
    assert fitted({"job": "db", "index": "0"}, _LIMITS, present=others) == {"job": "db", "index": "0"}
    assert fitted({"more": "of it"}, _LIMITS, present=others) == {}
    assert fitted({"x1": "new"}, _LIMITS, present=others) == {"x1": "new"}
