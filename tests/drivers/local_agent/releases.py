"""What a director makes for an agent: blobs, rendered templates, apply specs."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from typing import Any

from tests.drivers.local_agent.vm import Vm


def tarball(files: Mapping[str, str]) -> bytes:
    """With a file for each name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def sha1(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def put(vm: Vm, blob_id: str, content: bytes) -> None:
    """As the command line does it: below a folder of its own choice."""
    answer = vm.http.put(vm.url.replace("/agent", f"/blobs/a5/{blob_id}"), content=content)
    assert answer.status_code == 201


def spec_of(vm: Vm, templates: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """A spec with one job, its templates handed over."""
    archive = tarball(templates)
    put(vm, "templates-1", archive)
    return {
        "deployment": "small",
        "job": {"name": "web", "templates": [{"name": "web", "version": "1", "sha1": "", "blobstore_id": ""}]},
        "packages": {},
        "rendered_templates_archive": {"sha1": sha1(archive), "blobstore_id": "templates-1"},
        **more,
    }
