"""The image file of a heavy stemcell: a tar packed with gzip, with the one file disk.raw in it, as Google imports it."""

import tarfile
import zlib
from typing import Final

from cpi.contract import errors

DISK: Final = "disk.raw"


def check_packed_disk(image_path: str) -> None:
    """Raises CpiError for what Google would not import. Reads no more than the beginning."""
    try:
        with tarfile.open(image_path, "r|gz") as archive:
            first = archive.next()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise errors.CpiError(
            f"the stemcell's image {image_path} is no tar packed with gzip: {error}; a light stemcell names an image_url"
        ) from error
    if first is None or first.name.removeprefix("./") != DISK:
        raise errors.CpiError(f"the stemcell's image {image_path} has no {DISK} at its beginning")
