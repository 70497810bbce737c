"""Addresses that do not change: whose they are."""

from pathlib import Path

from cpi.kit import private_files, remembering
from drivers.vcloud.settings import VcloudSettings


class Remembered(remembering.Remembered):
    """Those of one organisation at one address, as one user sees it."""

    def __init__(self, folder: Path, settings: VcloudSettings) -> None:
        whose = (settings.root, settings.entities.organization, settings.user)
        super().__init__(private_files.named(folder, "vcloud-ids", *whose))
