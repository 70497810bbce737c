"""Tags of the vCenter, which its REST API alone knows."""

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cpi.contract import errors
from cpi_drivers.vsphere.api.client import Client, Reference
from cpi_drivers.vsphere.properties import Tag
from cpi_drivers.vsphere.settings import VCenter

_log = logging.getLogger(__name__)

_ROOT: Final = "/rest/com/vmware/cis"
_SESSION: Final = "vmware-api-session-id"


class Tags:
    """Those that exist; this makes none. What fails is logged, as the official CPI does: no VM fails for a tag."""

    def __init__(self, client: Client, vcenter: VCenter) -> None:
        self._client = client
        self._vcenter = vcenter

    def put(self, vm: Reference, requested: Sequence[Tag]) -> None:
        """Each on a VM."""
        if not requested:
            return
        if not self._vcenter.password.reveal():
            _log.warning("tags of the VM: they need user and password in the configuration, which a session does not replace")
            return
        try:
            session = {_SESSION: str(self._ask("POST", "/session", self._credentials()))}
            names = {category: self._tags_of(category, session) for category in {tag.category for tag in requested}}
            for tag in requested:
                self._put(vm, tag, names[tag.category].get(tag.tag), session)
            self._ask("DELETE", "/session", session)
        except errors.CloudError as error:
            _log.warning("tags of the VM: %s", error)

    def _put(self, vm: Reference, tag: Tag, identity: str | None, session: Mapping[str, str]) -> None:
        if identity is None:
            _log.warning("the tag %s of the category %s does not exist", tag.tag, tag.category)
            return
        body = {"object_id": {"id": vm._moId, "type": "VirtualMachine"}}  # noqa: SLF001 - an id has no public name in the SDK
        try:
            self._ask("POST", f"/tagging/tag-association/id:{identity}?~action=attach", session, body)
        except errors.CloudError as error:
            _log.warning("the tag %s is not on the VM: %s", tag.tag, error)

    def _tags_of(self, category: str, session: Mapping[str, str]) -> dict[str, str]:
        """Ids by names."""
        categories = self._ask("GET", "/tagging/category", session)
        named = (self._ask("GET", f"/tagging/category/id:{one}", session) for one in categories)
        found = next((one["id"] for one in named if one["name"] == category), None)
        if found is None:
            return {}
        ids = self._ask("POST", f"/tagging/tag/id:{found}?~action=list-tags-for-category", session)
        return {tag["name"]: tag["id"] for tag in (self._ask("GET", f"/tagging/tag/id:{one}", session) for one in ids)}

    def _credentials(self) -> Mapping[str, str]:
        told = f"{self._vcenter.user}:{self._vcenter.password.reveal()}"
        return {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: Any = None) -> Any:
        sent = {**headers, "Content-Type": "application/json"}
        content = json.dumps(body).encode() if body is not None else None
        status, answer = self._client.transfer(method, _ROOT + path, content, sent)
        if status >= 300:  # noqa: PLR2004 - HTTP's successes end here
            raise errors.CloudError(f"{method} {path}: the vCenter answered {status}")
        return json.loads(answer)["value"] if answer.strip() else None
