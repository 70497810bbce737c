"""From Google's reasons and codes to the director's ten errors: one table."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from cpi.contract import errors
from cpi.kit import failures


class Refused(failures.Refused):
    """What Google refused, with its code in the form of operations: NOT_FOUND."""

    code = ""
    status = 0
    after_lost_answer = False
    """An earlier attempt of the same call may have been carried out."""


class Throttled(Refused, failures.Throttled):
    """Too many calls; this one was not carried out."""


class Unreached(Refused, failures.Unreached):
    """No connection; the call was not carried out."""


class AnswerLost(Refused, failures.AnswerLost):
    """No usable answer: the call may have been carried out."""


class Denied(Refused, failures.Denied):
    """The credentials, or what they allow."""


class ProxyRefused(Refused):
    """The proxy on the way to Google."""


class NoCapacity(Refused, failures.NoCapacity):
    """The zone has none of it at the moment: another time, type or zone may do."""


class QuotaReached(Refused, failures.QuotaReached):
    """The project's limit: a repeat will not help before somebody raises it or makes room."""


class NoRoom(errors.NoDiskSpace, Refused):
    """No room or quota for a disk."""


class Missing(Refused, failures.Missing):
    """No such thing."""


class VmMissing(errors.VMNotFound, Missing):
    """No such VM."""


class DiskMissing(errors.DiskNotFound, Missing):
    """No such disk."""


class NotAttached(errors.DiskNotAttached, Refused):
    """The disk is not attached to that VM."""


class NetworkMissing(errors.NetworkNotFound, Missing):
    """No such network, subnetwork or address."""


class PolicyMissing(Missing):
    """No such resource policy."""


class Exists(Refused):
    """The name is taken."""


class InUse(Refused):
    """Another resource uses it, or its address."""


class Stale(Refused):
    """The fingerprint is of an earlier state: read again."""


class NotReady(Refused):
    """It is being made, changed or deleted."""


_CREDENTIALS = "check json_key, and that the service account and its key still exist"
_SESSION = "check the session that was given to cpi.connect, and that its service account still exists"
_NO_KEY = (
    "there is no json_key: give one, or GOOGLE_APPLICATION_CREDENTIALS, or run on a VM of Compute Engine with a service account,"
    " whose metadata server is asked at 169.254.169.254"
)
_PERMISSION = "`cpi doctor` prints the permissions that the driver needs"
_ORGANISATION = "a policy of the organisation denies it: ask those who administer it; roles in the project do not help"
_QUOTA = "raise the quota, or delete what is not needed"
_CAPACITY = "list further zones or machine_types, or try again later"

# The first pattern that matches the whole code decides; what is added says what to do.
TABLE: Final[tuple[tuple[str, type[Refused], str], ...]] = (
    (r"(RESOURCE_)?NOT_FOUND", Missing, ""),
    (r"ORG_POLICY_VIOLATED|CONSTRAINT_VIOLATED|CONDITION_VIOLATED", Denied, _ORGANISATION),
    (r"(RESOURCE_)?ALREADY_EXISTS|CONFLICT|MEMBER_ALREADY_EXISTS", Exists, ""),
    (r"(RESOURCE|IP)_IN_USE_BY_ANOTHER_RESOURCE|EXTERNAL_IP_IN_USE", InUse, ""),
    (r"CONDITION_NOT_MET|RESOURCE_FINGERPRINT_CHANGED|INVALID_FINGERPRINT", Stale, ""),
    (r"RESOURCE_NOT_READY", NotReady, ""),
    (r"ZONE_RESOURCE_POOL_EXHAUSTED(_WITH_DETAILS)?|RESOURCE_POOL_EXHAUSTED.*|STOCKOUT", NoCapacity, _CAPACITY),
    (r"QUOTA_EXCEEDED|LIMIT_EXCEEDED|DAILY_LIMIT_EXCEEDED", QuotaReached, _QUOTA),
    (r"(USER_)?RATE_LIMIT_EXCEEDED|TOO_MANY_REQUESTS|OPERATION_RATE_EXCEEDED|RESOURCE_OPERATION_RATE_EXCEEDED", Throttled, ""),
    (r"AUTH_ERROR|REQUIRED_LOGIN|UNAUTHORIZED", Denied, _CREDENTIALS),
    (r"FORBIDDEN|ACCESS_NOT_CONFIGURED|INSUFFICIENT_PERMISSIONS|PERMISSIONS_ERROR|ACCOUNT_DISABLED", Denied, _PERMISSION),
    (r"BACKEND_ERROR|INTERNAL_ERROR|INTERNAL_SERVER_ERROR", AnswerLost, ""),
)
_BY_STATUS: Final[Mapping[int, type[Refused]]] = {401: Denied, 403: Denied, 404: Missing, 409: Exists, 412: Stale, 429: Throttled}
_KINDS: Final[Mapping[str, type[Refused]]] = {
    "instances": VmMissing,
    "disks": DiskMissing,
    "networks": NetworkMissing,
    "subnetworks": NetworkMissing,
    "addresses": NetworkMissing,
    "resourcePolicies": PolicyMissing,
}
_PATH: Final = re.compile(r"projects/[^/']+/(?:zones/[^/']+|regions/[^/']+|global)/(\w+)/")
_SERVER_FAULTS: Final = 500


def code_of(reason: str) -> str:
    """`resourceNotReady` as operations write it: RESOURCE_NOT_READY."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", reason).upper()


def refusal(method: str, status: int, reason: str, message: str) -> Refused:
    """What Google answered to a call."""
    code = code_of(reason)
    text = f"Google refused {method} ({reason or 'no reason'}, HTTP {status}): {_tidy(message)}"
    return _made(_kind(code, message, status), code, text, status)


def failed(method: str, told: Mapping[str, Any]) -> Refused:
    """An operation that ended badly."""
    faults = told.get("error", {}).get("errors") or [{}]
    code = str(faults[0].get("code") or "UNKNOWN")
    messages = "; ".join(_tidy(str(one.get("message") or one.get("code") or "")) for one in faults)
    status = int(told.get("httpErrorStatusCode", 0))
    return _made(_kind(code, messages, 0), code, f"Google failed at {method} ({code}): {messages}", status)


Source = Literal["session", "json_key", "environment"]
"""Where credentials are from."""


def denied(reason: object, source: Source) -> Refused:
    """No token for the credentials."""
    advice = {"session": _SESSION, "json_key": _CREDENTIALS, "environment": _NO_KEY}[source]
    return _made(Denied, "", f"Google does not accept the credentials: {_tidy(str(reason))}; {advice}", 401)


def stopped_by_proxy(method: str, reason: object) -> Refused:
    """The proxy did not open the way; Google never saw the call."""
    told = _tidy(str(reason))
    text = f"the proxy on the way to Google did not let {method} through: {told}"
    if re.search(r"\b(407|403|401)\b", told):
        return _made(ProxyRefused, "", f"{text}; check user, password and rules of https_proxy, or name the host in no_proxy", 0)
    return _made(Unreached, "", f"{text}; check https_proxy and no_proxy", 0)


def unreached(method: str, reason: object) -> Refused:
    """No connection was made."""
    return _made(Unreached, "", f"Google cannot be reached for {method}: {reason}; check network, proxy and endpoints", 0)


def answer_lost(method: str, reason: object) -> Refused:
    """The connection broke, or the answer was none."""
    return _made(AnswerLost, "", f"Google gave no usable answer to {method}: {reason}; it may have been carried out", 0)


def _kind(code: str, message: str, status: int) -> tuple[type[Refused], str]:
    if "constraints/" in message and ("violated" in message or "denied" in message.lower()):
        return Denied, _ORGANISATION
    for pattern, kind, advice in TABLE:
        if re.fullmatch(pattern, code):
            return (_missing(message) if kind is Missing else kind), advice
    if status >= _SERVER_FAULTS:
        return AnswerLost, ""
    return _BY_STATUS.get(status, Refused), ""


def _missing(message: str) -> type[Refused]:
    found = _PATH.search(message)
    return _KINDS.get(found[1], Missing) if found else Missing


def _made(kind: type[Refused] | tuple[type[Refused], str], code: str, message: str, status: int) -> Refused:
    kind, advice = kind if isinstance(kind, tuple) else (kind, "")
    error = kind(message + (f"; {advice}" if advice else ""))
    error.code, error.status = code, status
    return error


def _tidy(message: str) -> str:
    return " ".join(message.split()) or "no reason given"
