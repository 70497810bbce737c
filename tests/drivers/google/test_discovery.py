"""The discovery documents that ship with the driver, and the table of calls that they are cut by."""

import re

import pytest

from cpi_drivers.google.api.connection import DOCUMENTS
from cpi_drivers.google.api.operations import METHODS, permissions
from fixtures.clouds.google.answering import HANDLERS
from fixtures.clouds.google.documents import APIS, all_methods
from fixtures.clouds.google.kinds import load
from fixtures.clouds.google.shortening import packed
from tests.house.source import sources


@pytest.mark.parametrize("api", APIS)
def test_the_short_document_is_cut_from_the_sdk_that_is_installed(api: str) -> None:
    """`python -m fixtures.clouds.google.shortening` writes it again."""
    import gzip

    assert gzip.decompress((DOCUMENTS / f"{api}.json.gz").read_bytes()) == gzip.decompress(packed(api))


def test_every_call_of_the_table_is_one_of_googles() -> None:
    """A method that Google takes away is seen here."""
    assert set(METHODS) - {method.name for method in all_methods()} == set()


def test_every_call_of_the_table_is_made_and_every_call_is_in_the_table() -> None:
    """What nobody calls needs no permission."""
    driver = [source for source in sources("drivers") if source.path.startswith("drivers/cpi_drivers/google/")]
    text = "\n".join(source.text for source in driver if not source.path.endswith("/methods.py"))
    named = set(re.findall(r'"((?:storage\.|cloudresourcemanager\.)?[a-zA-Z]+\.[a-z][a-zA-Z]+)"', text))
    made = {name if name.count(".") == 2 else f"compute.{name}" for name in named} & {method.name for method in all_methods()}
    computed = {f"compute.{scope}Operations.wait" for scope in ("zone", "region", "global")}
    computed |= {f"compute.{kind}.aggregatedList" for kind in ("instances", "disks", "subnetworks")}
    assert set(METHODS) == made | computed


def test_the_fake_answers_every_call_of_the_table_and_no_other() -> None:
    """The upload has a protocol of its own."""
    load()
    assert set(METHODS) ^ set(HANDLERS) == {"storage.objects.insert"}


def test_permissions_have_googles_form() -> None:
    """service.resource.verb."""
    assert all(re.fullmatch(r"(compute|storage|iam)\.[a-zA-Z]+\.[a-zA-Z]+", one) for one in permissions())
