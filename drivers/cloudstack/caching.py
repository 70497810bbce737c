"""Ids that do not change: whose they are."""

from pathlib import Path

from cpi.kit import private_files, remembering
from drivers.cloudstack.settings import CloudStackSettings


class Remembered(remembering.Remembered):
    """Those of one endpoint and user."""

    def __init__(self, folder: Path, settings: CloudStackSettings) -> None:
        super().__init__(private_files.named(folder, "cloudstack-ids", settings.endpoint, settings.api_key))
