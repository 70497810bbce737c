"""Keeping secrets out of what people read: by the name of a key, and by value for secrets that are known."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

MASK: Final = "<redacted>"

_SECRET_KEY = re.compile(
    r"pass(word|phrase|wd)|secret|token|private_?key|credential|api_?key|access_key|json_key|authorization|signature|user_?data"
    r"|mbus|^cert$|^key$|^blobstores?$",
    re.IGNORECASE,
)
_HARMLESS_KEY = re.compile(r"_id$|_name$|_path$|^http_tokens$|key_name|kms_key|^credentials_source$", re.IGNORECASE)
_CONTAINER_KEY = re.compile(r"^(mbus|cert|blobstores?)$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<head>://[^/\s:@]*:)(?P<password>[^/\s@]+)@")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_LEAST_SECRET_LENGTH = 6
_LEAST_LINE_LENGTH = 20


def is_secret_key(key: str) -> bool:
    """Whether a value under this key is hidden."""
    return bool(_SECRET_KEY.search(key)) and not _HARMLESS_KEY.search(key)


def masked(value: Any) -> Any:
    """A copy of a document with every secret in it masked, whole subtrees included."""
    if isinstance(value, Mapping):
        return {key: MASK if is_secret_key(str(key)) and item else masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    if isinstance(value, str):
        return scrubbed(value)
    return value


def scrubbed(text: str, secrets: Iterable[str] = ()) -> str:
    """Text without passwords in URLs, private keys, and the given secrets."""
    text = _PEM.sub(MASK, _URL_PASSWORD.sub(rf"\g<head>{MASK}@", text))
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def secrets_in(document: Any) -> frozenset[str]:
    """Every secret string in a document, long enough to be told from an ordinary word.

    That is what lies under a secret key, and the password of any URL. Under the keys of the message bus and the
    blobstore, where users and buckets lie beside passwords, each key speaks for itself.
    """
    return frozenset(text for text in _secret_strings(document, hidden=False) if len(text) >= _LEAST_SECRET_LENGTH)


def spellings(secrets: Iterable[str]) -> frozenset[str]:
    """Secrets as they are and as they look quoted: in JSON, in Python, in a URL, and line by line."""
    return frozenset(spelling for secret in secrets for spelling in _spellings(secret) if len(spelling) >= _LEAST_SECRET_LENGTH)


def _spellings(secret: str) -> Iterator[str]:
    yield from (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="", errors="replace"))
    yield from (line for line in secret.splitlines() if len(line) >= _LEAST_LINE_LENGTH)


def _secret_strings(value: Any, *, hidden: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secret_strings(item, hidden=hidden or _hides(str(key), item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secret_strings(item, hidden=hidden)
    elif isinstance(value, str):
        if hidden:
            yield value
        for match in _URL_PASSWORD.finditer(value):
            yield from (match["password"], unquote(match["password"]))


def _hides(key: str, item: Any) -> bool:
    return is_secret_key(key) and not (_CONTAINER_KEY.match(key) and isinstance(item, Mapping | list | tuple))
