"""What the program runs with is listed, by name, version, digest and licence, and may be used by anybody."""

import json

from tests.house import dependencies
from tests.house.dependencies import Library

_LIBRARIES = dependencies.libraries()
_INSTALLED = [one for one in _LIBRARIES if one.licence]


def test_every_library_has_a_licence_that_lets_anybody_use_it() -> None:
    """A new one is looked at by a person: it is added to the list, or to the spellings of what is there."""
    assert [one for one in _INSTALLED if not dependencies.parts(one.licence) & dependencies.ALLOWED] == []
    strict = [
        one for one in _INSTALLED if " OR " not in one.licence and not dependencies.parts(one.licence) <= dependencies.ALLOWED
    ]
    assert strict == []


def test_the_page_lists_them() -> None:
    """`make constraints` writes it."""
    text = dependencies.PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [one for one in _INSTALLED if f"| `{one.name}` | {one.version} | {one.licence} |" not in rows] == []
    names = {row.split("`")[1] for row in rows}
    assert names >= {one.name for one in _LIBRARIES}


def test_every_library_has_the_digests_of_the_version_that_is_pinned() -> None:
    """None is without, and no registry is named: whoever answers, what comes is what was tried."""
    known = dependencies.digests()
    assert [one for one in _INSTALLED if known.get(one.name, ("", []))[0] != one.version] == []
    assert [name for name, (_, digests) in known.items() if not digests] == []
    pins = dependencies.pins()
    assert [name for name, (version, _) in known.items() if pins.get(name, version) != version] == []
    assert "://" not in dependencies.HASHED.read_text(encoding="utf-8")


def test_the_bill_of_materials_names_all_of_them() -> None:
    """And is the same whenever it is made."""
    made = dependencies.bill_of_materials("1.2.3")
    assert made == dependencies.bill_of_materials("1.2.3")
    assert {(one["name"], one["version"]) for one in made["components"]} == {(one.name, one.version) for one in _LIBRARIES}
    assert made["metadata"]["component"]["purl"] == "pkg:pypi/multicpi@1.2.3"
    assert json.loads(json.dumps(made)) == made
    (crypto,) = [one for one in made["components"] if one["name"] == "cryptography"]
    assert crypto["licenses"] == [{"expression": "Apache-2.0 OR BSD-3-Clause"}]
    assert len(crypto["externalReferences"]) > 10


def test_a_licence_of_unknown_spelling_is_not_taken_for_granted() -> None:
    """It is told as it is written."""
    assert dependencies.parts("GPL-3.0-only OR MIT") & dependencies.ALLOWED == {"MIT"}
    assert Library("x", "1", "Proprietary").licence not in dependencies.ALLOWED  # type: ignore[arg-type]  # no canonical name is needed
