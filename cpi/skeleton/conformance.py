"""The conformance suite over the driver `example`: `pytest` in this folder."""

from pathlib import Path

import pytest

from cpi.testing import GuestlessContract, Harness, Stemcell


class TestExample(GuestlessContract):
    """Every clause, in this process and through the executable. A cloud with real VMs takes CloudContract, and a guest."""

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Harness:
        folder: Path = tmp_path_factory.mktemp("cloud")
        image = folder / "image"
        image.write_text("IMAGE of a root disk\n", encoding="utf-8")
        return Harness(
            config=_config(folder),
            unreachable=_config(folder / "not-there"),
            stemcell=Stemcell(image=str(image)),
        )


def _config(folder: Path) -> dict[str, object]:
    block = {"folder": str(folder), "password": "example-password-77"}
    return {"cloud": {"plugin": "example", "properties": {"example": block}}}
