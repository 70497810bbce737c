"""What the words after `cpi call METHOD` mean."""

import pytest

import cpi
from cpi.cli.call import request_of


def test_words_in_order_are_json() -> None:
    """As on the wire."""
    assert request_of("create_disk", ["1024", '{"type": "ssd"}']).arguments == [1024, {"type": "ssd"}]


def test_words_with_names_may_come_in_any_order() -> None:
    """They are put in their places."""
    assert request_of("create_disk", ["cloud_properties={}", "size=1024"]).arguments == [1024, {}]


def test_an_optional_argument_in_between_may_be_left_out() -> None:
    """What comes before a named one and was not given is null."""
    words = ["agent_id=a", "stemcell_cid=s", "cloud_properties={}", "networks={}", 'env={"a": 1}']
    assert request_of("create_vm", words).arguments == ["a", "s", {}, {}, None, {"a": 1}]


def test_a_word_that_is_no_json_is_a_string() -> None:
    """CIDs need no quotes."""
    assert request_of("attach_disk", ["vm-1", "disk_cid=disk-2"]).arguments == ["vm-1", "disk-2"]


@pytest.mark.parametrize("word", ["17", "vm_cid=17", '"17"', "null", "1e3"])
def test_a_cid_that_looks_like_something_else_is_a_string(word: str) -> None:
    """A cloud may well call its VMs by numbers."""
    (argument,) = request_of("has_vm", [word]).arguments
    assert argument == word.removeprefix("vm_cid=").strip('"')


def test_json_with_an_equals_sign_is_no_name() -> None:
    """Only a whole word before the sign can be one."""
    assert request_of("set_vm_metadata", ["vm", '{"a": "b=c"}']).arguments == ["vm", {"a": "b=c"}]


def test_the_token_goes_into_the_context() -> None:
    """As a caller of the executable would send it."""
    request = request_of("create_disk", ["8", "{}", "token=once"])
    assert (request.arguments, request.context) == ([8, {}], {"token": "once"})


def test_a_stemcells_tags_go_into_its_env() -> None:
    """That is how they travel."""
    words = ["image_path=/image", "cloud_properties={}", 'tags={"a": "b"}']
    assert request_of("create_stemcell", words).arguments == ["/image", {}, {"tags": {"a": "b"}}]


@pytest.mark.parametrize(
    ("method", "words", "told"),
    [
        ("create_dsk", [], "unknown method 'create_dsk'.*create_disk"),
        ("create_disk", ["sise=1"], "unknown argument 'sise'; known arguments: size, cloud_properties, vm_cid, token"),
        ("create_disk", ["1", "size=2"], "size given twice"),
        ("create_disk", ["cloud_properties={}"], "create_disk: missing: size"),
        ("has_vm", ["token=t"], "has_vm: unknown argument 'token'"),
        ("ping", ["a=b"], "known arguments: none"),
    ],
)
def test_what_makes_no_sense_is_refused(method: str, words: list[str], told: str) -> None:
    """With what there is instead."""
    with pytest.raises(cpi.CpiError, match=told):
        request_of(method, words)


def test_too_many_words_are_left_to_the_method() -> None:
    """Which knows how many it takes."""
    assert request_of("ping", ["1", "2"]).arguments == [1, 2]
