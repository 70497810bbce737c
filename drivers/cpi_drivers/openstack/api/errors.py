"""What OpenStack's answers mean in the director's ten words."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any

from cpi.kit import failures
from cpi.kit.redaction import scrubbed

_LONGEST_QUOTE = 500
_HEADINGS = re.compile(r"<(title|h1)>.*?</\1>", re.DOTALL)  # Glance's pages: they repeat the status
_QUOTA_OF_FAULT = re.compile(r"quota", re.IGNORECASE)  # "maximum number of retries" is none
_QUOTA = re.compile(r"quota|limit exceeded|maximum number", re.IGNORECASE)


class Refused(failures.Refused):
    """A service answered that it will not do it."""

    def __init__(self, asked: str, status: int, said: str, kind: str = "") -> None:
        super().__init__(f"{asked} was refused: {status} {said}".rstrip())
        self.status = status
        self.said = said
        self.kind = kind
        """Neutron's word for it: IpAddressAlreadyAllocated, say."""

    @property
    def is_quota(self) -> bool:
        """Whether the project may not have more, as against the cloud having no more."""
        return tells_of_quota(self.status, self.said)


class Missing(Refused, failures.Missing):
    """404: what the path names does not exist."""


class Conflicting(Refused):
    """409: not in the present state."""


def refusal(asked: str, status: int, said: str, kind: str = "") -> Refused:
    """The error for a status of the 400s, of a service's own answer."""
    return {404: Missing, 409: Conflicting}.get(status, Refused)(asked, status, said, kind)


def is_own_answer(service: str, body: bytes) -> bool:
    """Whether a service has said so itself, and not a proxy in front of it: a 404 of that tells nothing."""
    try:
        return isinstance(json.loads(body), Mapping)
    except ValueError:
        return service == "image" and b"image" in body.lower()  # Glance alone answers by pages


def kind_of(body: bytes) -> str:
    """Neutron's word for what is wrong."""
    try:
        return str(json.loads(body)["NeutronError"]["type"])
    except (ValueError, KeyError, TypeError):
        return ""


def tells_of_quota(status: int, said: str) -> bool:
    """Nova says 403, Neutron 409, and Cinder 413, which is also a gateway's word for "later"."""
    return status in {403, 409, 413} and bool(_QUOTA.search(said))


def fault_tells_of_quota(message: str) -> bool:
    """Of a server's own fault: it may have been Cinder or Neutron that refused Nova."""
    return bool(_QUOTA_OF_FAULT.search(message))


def words_of(body: bytes) -> str:
    """What a service says in an error's body: each service wraps it in its own way."""
    try:
        document = json.loads(body)
    except ValueError:
        document = body.decode("utf-8", "replace")
    return scrubbed(_sentence(document))[:_LONGEST_QUOTE]


def _sentence(document: Any) -> str:
    if isinstance(document, str):
        plain = re.sub(r"<[^>]*>", " ", _HEADINGS.sub(" ", document))
        return re.sub(r"\s+", " ", html.unescape(plain)).strip()
    if isinstance(document, Mapping):
        for key in ("message", "faultstring", "detail", "title"):
            if isinstance(document.get(key), str):
                return _sentence(document[key])
        return _sentence(next((value for value in document.values() if value), ""))
    if isinstance(document, list) and document:
        return _sentence(document[0])
    return ""


def sdk_failures() -> tuple[type[BaseException], ...]:
    """What openstacksdk raises."""
    import keystoneauth1.exceptions
    import openstack.exceptions

    return (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException)
