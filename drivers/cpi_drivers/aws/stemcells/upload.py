"""A heavy stemcell's disk, uploaded by the EBS direct API: from anywhere, without a VM, without a shell.

Blocks of zeros are left out. A journal beside the cache remembers the snapshot and the checksum of every block that arrived:
a killed upload goes on where it was, if the image is still the same.
"""

import base64
import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from cpi.contract import errors as contract_errors
from cpi.contract.ids import SnapshotCid
from cpi.contract.units import MiB, bytes_from_mib, gib_from_mib, mib_from_bytes
from cpi.kit import private_files
from cpi.kit.undo import Undo
from cpi_drivers.aws import tags
from cpi_drivers.aws.api import errors
from cpi_drivers.aws.api.account import Account
from cpi_drivers.aws.disks import snapshots
from cpi_drivers.aws.properties import StemcellProperties
from cpi_drivers.aws.stemcells.image import open_image

_log = logging.getLogger(__name__)

BLOCK: Final = 512 * 1024
_AT_ONCE: Final = 16
_TIMEOUT_MINUTES: Final = 60
_TELL_SECONDS: Final = 10.0


class Block(NamedTuple):
    """One block that holds something."""

    number: int
    data: bytes
    checksum: str


class Journal:
    """What has arrived, line by line: a line that was cut off counts for nothing. While one upload has it, others go without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _taken(path)
        self.snapshot = ""
        self.arrived: dict[int, str] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for line in self._file or ():
                entry = json.loads(line)
                if "snapshot" in entry:
                    self.snapshot = str(entry["snapshot"])
                else:
                    self.arrived[int(entry["block"])] = str(entry["checksum"])

    def begin(self, snapshot_cid: str) -> None:
        """A new snapshot."""
        self.snapshot, self.arrived = snapshot_cid, {}
        with contextlib.suppress(OSError):
            if self._file:
                self._file.truncate(0)
        self._write({"snapshot": snapshot_cid})

    def add(self, block: Block) -> None:
        """A block arrived."""
        self.arrived[block.number] = block.checksum
        self._write({"block": block.number, "checksum": block.checksum})

    def end(self) -> None:
        """It is complete, or it is gone."""
        if self._file:
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave it to the next."""
        if self._file:
            self._file.close()
        self._file = None

    def _write(self, entry: Mapping[str, object]) -> None:
        with contextlib.suppress(OSError):
            if self._file:
                self._file.write(json.dumps(entry) + "\n")
                self._file.flush()


def _taken(path: Path) -> TextIO | None:
    """The file, locked until it is closed; None if another upload has it, or if it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("a+", encoding="utf-8")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    file.seek(0)
    return file


def upload(account: Account, image_path: str, properties: StemcellProperties, born: dict[str, str], undo: Undo) -> SnapshotCid:
    """A snapshot of the image in image_path (raw, or packed with gzip or tar). Raises CpiError if it cannot be read."""
    with contextlib.closing(Journal(_journal_path(account, image_path))) as journal, open_image(image_path) as image:
        size = max(MiB(properties.disk), mib_from_bytes(image.size or 0))
        snapshot_cid = _resumed(account, journal) or _started(account, size, properties, born, journal)
        undo.push(f"snapshot {snapshot_cid}", lambda: _forget(account, snapshot_cid, journal))
        checksums = _put_all(account, snapshot_cid, _blocks(image, bytes_from_mib(mib_of_gib(size))), journal)
        _complete(account, snapshot_cid, checksums)
        journal.end()
    return snapshot_cid


def mib_of_gib(size: MiB) -> MiB:
    """size as EBS rounds it."""
    from cpi.contract.units import mib_from_gib

    return mib_from_gib(gib_from_mib(size))


def _blocks(image: Any, room: int) -> Iterator[Block]:
    """The blocks that hold something, in order."""
    zeros = bytes(BLOCK)
    for index in range(-(-room // BLOCK) + 1):
        data = image.read(BLOCK)
        if not data:
            return
        if index * BLOCK >= room:
            raise contract_errors.CpiError(
                f"the stemcell's image is larger than its disk of {room // 1024**2} MiB: mend cloud_properties.disk"
            )
        data = data.ljust(BLOCK, b"\0")
        if data != zeros:
            yield Block(index, data, base64.b64encode(hashlib.sha256(data).digest()).decode())


def _put_all(account: Account, snapshot_cid: SnapshotCid, blocks: Iterator[Block], journal: Journal) -> dict[int, str]:
    checksums: dict[int, str] = {}
    pending: set[concurrent.futures.Future[Block]] = set()
    told = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload") as pool:
        for block in blocks:
            checksums[block.number] = block.checksum
            if journal.arrived.get(block.number) == block.checksum:
                continue
            pending.add(pool.submit(_put, account, snapshot_cid, block))
            if len(pending) >= 2 * _AT_ONCE:
                pending = _settled(pending, journal, concurrent.futures.FIRST_COMPLETED)
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                _log.info("stemcell: %d MiB of content uploaded to %s", len(journal.arrived) * BLOCK // 1024**2, snapshot_cid)
        _settled(pending, journal, concurrent.futures.ALL_COMPLETED)
    _log.info("stemcell: %d blocks of %d KiB hold content, all are in %s", len(checksums), BLOCK // 1024, snapshot_cid)
    return checksums


def _settled(
    pending: set[concurrent.futures.Future[Block]], journal: Journal, until: str
) -> set[concurrent.futures.Future[Block]]:
    done, open_ends = concurrent.futures.wait(pending, return_when=until)
    for future in done:
        journal.add(future.result())
    return open_ends


def _put(account: Account, snapshot_cid: SnapshotCid, block: Block) -> Block:
    account.client.call(
        "PutSnapshotBlock",
        SnapshotId=str(snapshot_cid),
        BlockIndex=block.number,
        BlockData=block.data,
        DataLength=len(block.data),
        Checksum=block.checksum,
        ChecksumAlgorithm="SHA256",
    )
    return Block(block.number, b"", block.checksum)


def _complete(account: Account, snapshot_cid: SnapshotCid, checksums: dict[int, str]) -> None:
    """EBS checks the whole: the checksum over the blocks' checksums in their order."""
    whole = hashlib.sha256(b"".join(base64.b64decode(checksums[index]) for index in sorted(checksums))).digest()
    try:
        account.client.call(
            "CompleteSnapshot",
            SnapshotId=str(snapshot_cid),
            ChangedBlocksCount=len(checksums),
            Checksum=base64.b64encode(whole).decode(),
            ChecksumAlgorithm="SHA256",
            ChecksumAggregationMethod="LINEAR",
        )
    except errors.Refused as error:
        if not error.after_lost_answer or snapshots.describe(account, snapshot_cid).get("State") != "completed":
            raise


def _started(account: Account, size: MiB, properties: StemcellProperties, born: dict[str, str], journal: Journal) -> SnapshotCid:
    encrypted = account.settings.encrypted if properties.encrypted is None else properties.encrypted
    request: dict[str, Any] = {
        "VolumeSize": gib_from_mib(size),
        "Description": f"{properties.name or 'stemcell'} {properties.version or ''}".strip(),
        "Tags": tags.as_pairs(born),
        "ClientToken": os.urandom(16).hex(),
        "Timeout": _TIMEOUT_MINUTES,
    }
    if encrypted:
        key = properties.kms_key_arn or account.settings.kms_key_arn
        request |= {"Encrypted": True, **({"KmsKeyArn": key} if key else {})}
    snapshot_cid = SnapshotCid(account.client.call("StartSnapshot", **request)["SnapshotId"])
    journal.begin(snapshot_cid)
    return snapshot_cid


def _resumed(account: Account, journal: Journal) -> SnapshotCid | None:
    """The snapshot that a killed upload began, if it still takes blocks."""
    if not journal.snapshot:
        return None
    snapshot_cid = SnapshotCid(journal.snapshot)
    try:
        state = snapshots.describe(account, snapshot_cid).get("State")
    except errors.Refused:
        return None
    if state != "pending":
        return None
    _log.info("going on with the upload to %s: %d blocks are there", snapshot_cid, len(journal.arrived))
    return snapshot_cid


def _forget(account: Account, snapshot_cid: SnapshotCid, journal: Journal) -> None:
    snapshots.delete(account, snapshot_cid)
    journal.end()


def _journal_path(account: Account, image_path: str) -> Path:
    """One for each image, account and region."""
    try:
        facts = Path(image_path).stat()
    except OSError as error:
        raise contract_errors.CpiError(f"the stemcell's image {image_path} cannot be read: {error.strerror}") from error
    who = account.settings.access_key_id or account.settings.role_arn or ""
    named = f"{account.settings.signing_region}\0{who}\0{facts.st_size}\0{facts.st_mtime_ns}\0{image_path}"
    return private_files.folder() / "aws" / "uploads" / f"{hashlib.sha256(named.encode()).hexdigest()[:32]}.jsonl"
