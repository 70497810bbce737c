"""From a document to a struct: every fault at once, no secret shown."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import pytest

from cpi.contract import errors
from cpi.contract.model import Overlaid
from cpi.kit.settings import STEMCELL_KEYS, Secret, read_cloud_properties, read_settings


class Zone(msgspec.Struct, frozen=True):
    """Something nested."""

    name: str
    size: int = 1


class Settings(msgspec.Struct, frozen=True):
    """Every kind of field."""

    endpoint: str
    password: Secret | None = None
    zone: Zone | None = None
    zones: tuple[Zone, ...] = ()
    named: Mapping[str, Zone] = {}
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.endpoint == "nowhere":
            raise errors.CpiError("the endpoint is nowhere")
        if self.endpoint == "":
            raise ValueError("the endpoint is empty")


def faults(document: Any, **options: Any) -> list[str]:
    """The lines of the error, without its head."""
    with pytest.raises(errors.CpiError) as raised:
        read_settings(Settings, document, "block", **options)
    return [line.strip() for line in raised.value.message.splitlines()[1:]]


def test_a_good_document_becomes_the_struct() -> None:
    """As deep as structs go."""
    document = {
        "endpoint": "https://cloud",
        "password": "hunter22",
        "zone": {"name": "a"},
        "zones": [{"name": "b"}, {"name": "c", "size": 2}],
        "named": {"d": {"name": "d"}},
        "names": ["e"],
    }
    assert read_settings(Settings, document, "block") == Settings(
        "https://cloud", Secret("hunter22"), Zone("a"), (Zone("b"), Zone("c", 2)), {"d": Zone("d")}, ("e",)
    )


def test_null_is_as_good_as_absent() -> None:
    """For what may be absent; what must be there is named."""
    nothing = dict.fromkeys(("zone", "password", "zones", "named", "names"))
    assert read_settings(Settings, {"endpoint": "x", **nothing}, "block") == Settings("x")
    assert faults({"endpoint": None}) == ["block.endpoint: is missing (it is null)"]


class Depths(msgspec.Struct, frozen=True):
    """What lies in lists and in names of the operator's own."""

    entries: tuple[str | Mapping[str, Zone], ...] = ()
    sizes: Mapping[str, Mapping[str, int]] = {}
    free: Mapping[str, Any] = {}
    optional: Annotated[Zone | None, msgspec.Meta(description="with a description")] = None
    meant: int | None = 17


def test_null_is_as_good_as_absent_however_deep() -> None:
    """In lists of what is either a name or an object, and in names of the operator's own."""
    document = {
        "entries": ["a", {"b": {"name": "c", "size": None}}],
        "sizes": {"a": {"b": 1, "c": None}, "d": None},
        "free": {"a": 1, "b": None},
        "optional": {"name": "e", "size": None},
    }
    expected = Depths(("a", {"b": Zone("c")}), {"a": {"b": 1}}, {"a": 1}, Zone("e"))
    assert read_settings(Depths, document, "block") == expected
    with pytest.raises(errors.CpiError, match=r"block\.entries\[0\]\.a\.name: is missing$"):
        read_settings(Depths, {"entries": [{"a": None}]}, "block")


class Scalars(msgspec.Struct, frozen=True):
    """What people quote, or do not."""

    number: int = 1
    share: float | None = 0.5
    on: bool = True
    name: str = "gp3"
    note: str | None = None
    names: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    zone: Zone | None = None


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"number": "4000", "share": "0.25", "on": "false"}, Scalars(4000, 0.25, on=False)),
        ({"name": 7, "note": 8, "names": ["a", 9]}, Scalars(name="7", note="8", names=("a", "9"))),
        ({"tags": {"a": 1, "b": "2"}}, Scalars(tags={"a": "1", "b": "2"})),
        ({"zone": {"name": 1, "size": "2"}}, Scalars(zone=Zone("1", 2))),
        ({"number": "", "share": "", "on": "", "name": "", "zone": "", "names": "", "tags": ""}, Scalars()),
    ],
)
def test_scalars_are_taken_with_quotes_and_without(document: Any, wanted: Scalars) -> None:
    """Where their meaning is plain; an empty string of an optional key stands for its default."""
    assert read_settings(Scalars, document, "block") == wanted
    assert read_cloud_properties(Scalars, document) == wanted


def test_scalars_without_a_plain_meaning_are_faults_that_name_the_whole_key() -> None:
    """YAML made 1.1 of what may have been 1.10, and true of yes."""
    with pytest.raises(errors.CpiError) as caught:
        read_cloud_properties(Scalars, {"number": "many", "on": "perhaps", "name": 1.1, "tags": {"a": True}}, "networks.a")
    for key in ("networks.a.number: ", "networks.a.on: ", "networks.a.name: ", "networks.a.tags.a: "):
        assert key in caught.value.message


def test_null_stays_what_its_type_says_it_is() -> None:
    """Where a default is something else."""
    assert read_settings(Depths, {"meant": None}, "block").meant is None
    assert read_settings(Depths, {}, "block").meant == 17


def test_a_key_that_only_the_context_has_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With the nearest known one; what the configuration says is refused as ever."""
    with caplog.at_level(logging.INFO):
        assert read_settings(Settings, Overlaid({"endpoint": "x"}, {"endpoint": "y", "zon": 1}), "block") == Settings("y")
    assert caplog.messages == ["context.zon: unknown key, ignored; did you mean 'zone'?"]
    assert faults(Overlaid({"endpoint": "x", "zon": 1}, {"zon": 2})) == ["block.zon: unknown key; did you mean 'zone'?"]


def test_every_fault_is_told_at_once() -> None:
    """Missing, wrong, unknown; on the first floor and below."""
    document = {
        "passwort": "x",
        "password": 7,
        "zone": {"nme": "a"},
        "zones": [{"name": "b"}, {"name": True}, "c"],
        "named": {"d": {"name": "d", "size": "large"}},
        "names": ["e", 1.1],
    }
    assert sorted(faults(document)) == [
        "block.endpoint: is missing",
        "block.named.d.size: Expected `int`, got `str`",
        "block.names[1]: Expected `str`, got `float`: put it in quotes",
        "block.password: Expected `str`, got int",
        "block.passwort: unknown key; did you mean 'password'?",
        "block.zone.name: is missing",
        "block.zone.nme: unknown key; did you mean 'name'?",
        "block.zones[1].name: Expected `str`, got `bool`: put it in quotes",
        "block.zones[2]: Expected `object`, got `str`",
    ]


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_what_is_no_object_is_refused(document: Any) -> None:
    """By its kind."""
    assert faults(document)[0].startswith("block: expected an object, got ")


@pytest.mark.parametrize(("endpoint", "fault"), [("nowhere", "the endpoint is nowhere"), ("", "the endpoint is empty")])
def test_what_the_struct_itself_refuses_is_a_fault(endpoint: str, fault: str) -> None:
    """Fields that do not go together."""
    assert faults({"endpoint": endpoint}) == [f"block: {fault}"]


def test_keys_that_mean_nothing_here_are_passed_over() -> None:
    """The official CPI takes them too."""
    document = {"endpoint": "x", "registry": {}, "registri": {}}
    assert faults(document, ignored_keys=frozenset({"registry"})) == ["block.registri: unknown key"]


def test_unknown_cloud_properties_are_told_of_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """Several CPIs share VM types; nested ones too."""
    document = {"endpoint": "x", "endpont": "y", "zone": {"name": "a", "nam": "b"}}
    with caplog.at_level(logging.INFO):
        assert read_cloud_properties(Settings, document) == Settings("x", zone=Zone("a"))
    assert caplog.messages == [
        "cloud_properties.endpont: unknown key; did you mean 'endpoint'?",
        "cloud_properties.zone.nam: unknown key; did you mean 'name'?",
    ]


def test_of_very_many_unknown_keys_some_are_told_and_the_rest_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is looked for among the known ones, which costs: a request has room for tens of thousands."""
    compared: list[str] = []
    monkeypatch.setattr("difflib.get_close_matches", lambda key, *_, **__: compared.append(key))
    many = {f"key-{number}": "x" for number in range(20_000)}
    assert faults({"endpoint": "x", **many})[-1] == "block: 19950 more unknown keys"
    with caplog.at_level(logging.WARNING):
        read_settings(Settings, Overlaid({"endpoint": "x"}, many), "block")
    assert len(caplog.messages) == 51
    assert caplog.messages[-1] == "context: 19950 more unknown keys"
    assert len(compared) == 100


class _Described(msgspec.Struct, frozen=True):
    zone: Annotated[Zone | None, msgspec.Meta(description="with a description")] = None
    zones: Annotated[tuple[Zone, ...], msgspec.Meta(description="as well")] = ()


def test_fields_with_a_description_are_looked_into_as_others() -> None:
    """Unknown keys inside them are found."""
    document = {"zone": {"name": "a", "nam": "b"}, "zones": [{"name": "c", "siz": 1}]}
    with pytest.raises(errors.CpiError) as caught:
        read_settings(_Described, document, "block")
    assert "block.zone.nam: unknown key; did you mean 'name'?" in caught.value.message
    assert "block.zones[0].siz: unknown key; did you mean 'size'?" in caught.value.message


def test_unknown_cloud_properties_are_refused_where_that_is_wished(caplog: pytest.LogCaptureFixture) -> None:
    """strict_properties."""
    with caplog.at_level(logging.INFO), pytest.raises(errors.CpiError, match=r"cloud_properties.endpont: unknown key"):
        read_cloud_properties(Settings, {"endpoint": "x", "endpont": "y"}, strict=True)
    assert caplog.messages == []


def test_keys_that_some_cloud_knows_are_passed_over_where_that_is_wished(caplog: pytest.LogCaptureFixture) -> None:
    """Those of a stemcell, say: neither told nor refused."""
    document = {"endpoint": "x", "os_type": "linux", "os_tpe": "linux"}
    with caplog.at_level(logging.INFO):
        assert read_cloud_properties(Settings, document, ignored_keys=STEMCELL_KEYS) == Settings("x")
    assert caplog.messages == ["cloud_properties.os_tpe: unknown key"]
    with pytest.raises(errors.CpiError) as caught:
        read_cloud_properties(Settings, document, strict=True, ignored_keys=STEMCELL_KEYS)
    assert "os_type" not in caught.value.message


@pytest.mark.parametrize("document", [None, [], {"endpoint": True}])
def test_wrong_cloud_properties_are_refused_always(document: Any) -> None:
    """A wrong type is no other cloud's key."""
    with pytest.raises(errors.CpiError, match="cloud properties have faults"):
        read_cloud_properties(Settings, document)


def test_a_secret_shows_itself_only_when_asked() -> None:
    """Neither alone nor in a struct nor in a fault."""
    secret = Secret("hunter22")
    assert secret.reveal() == "hunter22"
    assert "hunter22" not in f"{secret} {secret!r} {Settings('x', secret)!r}"
    assert "hunter22" not in str(faults({"password": ["hunter22"]}))
    assert len({secret, Secret("hunter22"), Secret("other")}) == 2
    assert secret != secret.reveal()
