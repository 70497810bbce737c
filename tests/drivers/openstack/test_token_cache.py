"""Tokens between processes."""

import json
from pathlib import Path

import pytest

from cpi_drivers.openstack.api.session import TokenCache

STATE = json.dumps({"auth_token": "gAAAA", "body": {"token": {}}})
CREDENTIALS = {"username": "bosh", "secret": "a-long-secret"}


def kept(folder: Path) -> Path:
    """The only file."""
    return next(folder.glob("openstack-token-*"))


def test_what_was_kept_is_read_by_the_next_process(tmp_path: Path) -> None:
    """For the same credentials."""
    TokenCache(tmp_path, CREDENTIALS).write(STATE)
    assert json.loads(TokenCache(tmp_path, CREDENTIALS).read() or "") == json.loads(STATE)


@pytest.mark.parametrize("change", [{"username": "other"}, {"secret": "another"}, {"keystone_url": "http://elsewhere"}])
def test_other_credentials_have_another_file(tmp_path: Path, change: dict[str, str]) -> None:
    """A changed password must not be served by the old token."""
    TokenCache(tmp_path, CREDENTIALS).write(STATE)
    assert TokenCache(tmp_path, {**CREDENTIALS, **change}).read() is None


def test_the_file_is_the_owners_alone_and_names_no_secret(tmp_path: Path) -> None:
    """A token is as good as the password while it lasts."""
    TokenCache(tmp_path, CREDENTIALS).write(STATE)
    assert kept(tmp_path).stat().st_mode & 0o777 == 0o600
    assert "a-long-secret" not in kept(tmp_path).name + kept(tmp_path).read_text()


def test_a_file_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    """Somebody else may have written it."""
    TokenCache(tmp_path, CREDENTIALS).write(STATE)
    kept(tmp_path).chmod(0o644)
    assert TokenCache(tmp_path, CREDENTIALS).read() is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"text"'])
def test_a_spoilt_file_is_as_none(tmp_path: Path, content: str) -> None:
    """A full disk must not stop the CPI."""
    cache = TokenCache(tmp_path, CREDENTIALS)
    cache.write(STATE)
    kept(tmp_path).write_text(content)
    assert cache.read() is None


def test_what_was_dropped_is_gone(tmp_path: Path) -> None:
    """Twice, too."""
    cache = TokenCache(tmp_path, CREDENTIALS)
    cache.write(STATE)
    cache.drop()
    cache.drop()
    assert cache.read() is None
