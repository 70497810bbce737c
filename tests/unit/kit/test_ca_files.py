"""Which CA certificates count."""

import sys
from pathlib import Path

import pytest

from cpi.kit.ca_files import ca_bundle

_PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the official jobs lay the file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("BOSH_CA_CERT_FILE", raising=False)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "cpi")])
    (tmp_path / "config").mkdir()
    return tmp_path / "config" / "cacert.pem"


def test_the_file_beside_the_executable_counts_where_the_configuration_names_none(beside: Path) -> None:
    """An empty one does not: jobs render it where no certificate is given."""
    assert ca_bundle(None) is None
    beside.write_text("\n")
    assert ca_bundle(None) is None
    beside.write_text(_PEM)
    assert ca_bundle(None) == str(beside)


def test_the_environment_names_another(beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the official jobs' bin/cpi exports it."""
    beside.write_text(_PEM)
    other = tmp_path / "other.pem"
    other.write_text(_PEM)
    monkeypatch.setenv("BOSH_CA_CERT_FILE", str(other))
    assert ca_bundle(None) == str(other)


def test_the_configuration_goes_first(beside: Path) -> None:
    """Whatever lies there."""
    beside.write_text(_PEM)
    found = ca_bundle("-----BEGIN CERTIFICATE-----\nmine")
    assert found
    assert "mine" in Path(found).read_text(encoding="utf-8")
