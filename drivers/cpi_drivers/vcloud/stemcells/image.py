"""What the OVF of a stemcell's image names."""

from cpi.contract import errors
from cpi.kit.ovf_image import OvfImage
from cpi_drivers.vcloud.api import documents


def files_of(image: OvfImage) -> list[str]:
    """Raises CpiError for an OVF that cannot be read, or names what is not in the image."""
    try:
        descriptor = documents.read(image.descriptor)
    except documents.Unreadable as error:
        raise errors.CpiError(f"{image.path}: its OVF cannot be read: {error}") from error
    names = [documents.attribute(file, "href") for file in documents.every(descriptor, "References/File")]
    for name in names:
        image.size(name)
    return names
