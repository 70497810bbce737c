"""What an answer of HTTP means: a document, or an error that tells whether the call may be made again."""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cpi.contract import errors
from cpi.kit.failures import AnswerLost, Passing
from cpi.kit.redaction import scrubbed
from cpi_drivers.openstack.api.errors import Refused, is_own_answer, kind_of, refusal, tells_of_quota, words_of

if TYPE_CHECKING:
    import requests

NOT_DONE: Final = frozenset({413, 429, 503})  # refused before anything was done
REDIRECTS: Final = range(300, 400)
_REFUSED: Final = 400
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
BROKEN: Final = 500
_SAFE_TWICE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "PATCH"})


class Asked(NamedTuple):
    """A call in words, and whether it may be made again when no answer came."""

    method: str
    text: str
    service: str
    idempotent: bool = False

    @property
    def may_be_repeated(self) -> bool:
        """GET, PUT and DELETE; a POST only if it was said."""
        return self.idempotent or self.method in _SAFE_TWICE


def document(answer: "requests.Response", asked: Asked) -> Any:
    """What an answer holds, None if nothing. Raises what Client.call says."""
    status = answer.status_code
    said = f"{words_of(answer.content)} [{request_id(answer)}]" if status >= _REFUSED else ""
    if status in REDIRECTS:
        raise errors.CpiError(f"{asked.text}: {redirect(answer)}; see the catalogue's endpoints")
    if status in NOT_DONE and not tells_of_quota(status, said):
        raise Passing(f"{asked.text}: {status} {said}", after_seconds=_retry_after(answer))
    if status >= BROKEN:
        if asked.may_be_repeated:
            raise Passing(f"{asked.text}: {status} {said}")
        raise AnswerLost(f"{asked.text}: {status} {said}: it may have been done")
    if status == _UNAUTHORIZED:
        raise errors.CpiError(f"{asked.text}: the token is refused, also a new one: {said}")
    if status == _NOT_FOUND and not is_own_answer(asked.service, answer.content):
        raise Refused(
            asked.text, status, f"not by the service itself, which may not be there: {said}; see the catalogue's endpoints"
        )
    if status >= _REFUSED:
        raise refusal(asked.text, status, said, kind_of(answer.content))
    if not answer.content or "json" not in answer.headers.get("Content-Type", ""):
        return None
    try:
        return answer.json()
    except ValueError as error:
        raise errors.CloudError(f"{asked.text}: the answer is not JSON") from error


def request_id(answer: "requests.Response") -> str:
    """By which the cloud's owner finds the call in the service's log."""
    return f"request {answer.headers.get('x-openstack-request-id') or answer.headers.get('x-compute-request-id') or 'without id'}"


def redirect(answer: "requests.Response") -> str:
    """In words, for an error."""
    place = scrubbed(answer.headers.get("Location", "?"))
    return f"{answer.status_code}, a redirect to {place}: not followed, since the call carries a credential"


def _retry_after(answer: "requests.Response") -> float:
    try:
        return float(answer.headers.get("Retry-After", 0))
    except ValueError:
        return 0.0
