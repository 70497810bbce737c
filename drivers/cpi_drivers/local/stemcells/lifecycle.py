"""Stemcells: tarballs of a root filesystem, unpacked into a folder that VMs share copy-on-write."""

import contextlib
import json
import logging
import os
from pathlib import Path

from cpi.contract import errors
from cpi.contract.model import CloudProperties, Metadata
from cpi_drivers.local.host import metadata as metadata_of
from cpi_drivers.local.host.layout import make_folder
from cpi_drivers.local.host.register import Register, StemcellNotFound

_log = logging.getLogger(__name__)


class Stemcells:
    """The stemcells of one local cloud."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def create(self, image_path: str, cloud_properties: CloudProperties, tags: Metadata) -> str:
        """As in the contract."""
        from cpi.kit.extraction import extract

        image = Path(image_path)
        _check(image)
        columns = {"properties": json.dumps(cloud_properties), "tags": json.dumps(metadata_of.as_strings(tags))}
        with self._register.making("stemcells", columns) as cid:
            make_folder(self._register.layout.stemcell(cid))
            left_out = extract(image, self._register.layout.stemcell(cid))
            # it is the root of VMs: sshd and users in them have to pass through it; what lies above is the owner's alone
            self._register.layout.stemcell(cid).chmod(0o755)
        if left_out.counts:
            _log.warning("the stemcell %s lacks what this user cannot keep: %s", cid, left_out)
        return cid

    def delete(self, stemcell_cid: str) -> None:
        """As in the contract: a missing stemcell is fine, one in use is refused."""
        self._register.finish_deleting("stemcells", stemcell_cid)
        with contextlib.suppress(StemcellNotFound), self._register.locked("stemcells", stemcell_cid):
            with self._register.state.transaction() as database:
                users = database.execute("SELECT cid FROM vms WHERE stemcell_cid = ?", (stemcell_cid,)).fetchall()
                if users:
                    raise errors.CloudError(
                        f"stemcell {stemcell_cid} cannot be deleted: VM {users[0][0]} runs on it"
                        + (f", and {len(users) - 1} more" if len(users) > 1 else "")
                    )
                database.execute("UPDATE stemcells SET state = 'deleting' WHERE cid = ?", (stemcell_cid,))
            self._register.delete("stemcells", stemcell_cid)


def _check(image: Path) -> None:
    try:
        with image.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise errors.CpiError(f"the stemcell's image {image} cannot be read: {error.strerror}") from error
    if size == 0:
        raise errors.CpiError(f"the stemcell's image {image} is empty: the local cloud has no light stemcells")
