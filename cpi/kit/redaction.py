"""Keeping secrets out of what people read: by the name of a key, and by value for secrets that are known."""

import base64
import html
import itertools
import json
import re
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote

from cpi.contract import errors

MASK: Final = "<redacted>"

_SECRET_KEY = re.compile(
    r"pass(word|phrase|wd)|^pass$|^pwd$|_pwd$|secret|token|private_?key|credential|api_?key|access_key|json_key|authorization|signature"
    r"|user_?data|client_key|ssl_key|tls_key|(^|_)dsn$|cookie|bearer|connection_string|mbus|^cert$|^key$|^blobstores?$",
    re.IGNORECASE,
)
_HARMLESS_KEY = re.compile(r"_id$|_name$|_path$|^http_tokens$|key_name|kms_key|^credentials_source$", re.IGNORECASE)
_CONTAINER_KEY = re.compile(r"^(mbus|cert|blobstores?)$", re.IGNORECASE)
_URL_PASSWORD = re.compile(
    r"(?P<head>://[^/\s:@]*:)(?!PASSWORD@)(?P<password>[^/\s@]+)@"
)  # but not of https://USER:PASSWORD@HOST
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}", re.ASCII)
_LEAST_SECRET_LENGTH = 6
_LEAST_LINE_LENGTH = 20
_MOST_KNOWN = 50_000
_URL_SAFE = str.maketrans("+/", "-_")


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
    """Text without passwords in URLs, private keys, signed tokens, the given secrets, and those that this process knows.

    Scrub first and cut afterwards: of a secret that was cut, a piece would stay.
    """
    text = _JWT.sub(MASK, _PEM.sub(MASK, _URL_PASSWORD.sub(rf"\g<head>{MASK}@", text)))
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _known.masked_in(text)


def remember(secrets: Iterable[str]) -> None:
    """From now on no text that this process scrubs shows them, in any spelling; nor does the message of any error of ours.

    Given:   passwords, tokens and keys; shorter ones than six characters are too common to be hidden.
    """
    _known.add(spellings(secret for secret in secrets if len(secret) >= _LEAST_SECRET_LENGTH))
    errors.clean_messages_with(scrubbed)


def secrets_in(document: Any) -> frozenset[str]:
    """Every secret string in a document, long enough to differ from an ordinary word.

    That is what lies under a secret key, and the password of any URL. Under the keys of the message bus and the
    blobstore, where users and buckets lie beside passwords, each key speaks for itself.
    """
    return frozenset(text for text in _secret_strings(document, hidden=False) if len(text) >= _LEAST_SECRET_LENGTH)


def spellings(secrets: Iterable[str]) -> frozenset[str]:
    """Secrets as they are and as they look quoted: in JSON, in Python, in a URL, and line by line."""
    return frozenset(spelling for secret in secrets for spelling in _spellings(secret) if len(spelling) >= _LEAST_SECRET_LENGTH)


def _spellings(secret: str) -> Iterator[str]:
    in_json, as_text = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    yield from (secret, in_json, as_text, json.dumps(in_json)[1:-1], repr(secret)[1:-1])
    yield from (quote(secret, safe="", errors="replace"), quote(secret, errors="replace"), quote_plus(secret, errors="replace"))
    yield from (html.escape(secret), html.escape(secret, quote=False))
    yield from _in_base64(secret.encode("utf-8", "surrogatepass"))
    yield from (line for line in secret.splitlines() if len(line) >= _LEAST_LINE_LENGTH)


def _in_base64(secret: bytes) -> Iterator[str]:
    """What base64 makes of it wherever it stands, as in user:password: the letters that depend on it alone."""
    for before in range(3):
        letters = base64.b64encode(bytes(before) + secret).decode().rstrip("=")
        inner = letters[(0, 2, 3)[before] : -1 if (before + len(secret)) % 3 else None]
        if len(inner) >= _LEAST_SECRET_LENGTH + 2:
            yield from {inner, inner.translate(_URL_SAFE)}


class _Known:
    """The secrets that this process knows, and one pattern that finds them all in one go through a text.

    The pattern finds how a secret begins; which one it is, is looked up. So the cost hardly grows with their number.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: OrderedDict[str, None] = OrderedDict()
        self._lengths: dict[str, tuple[int, ...]] | None = None
        self._beginnings: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str]) -> None:
        with self._lock:
            for secret in secrets:
                if secret not in self._secrets:
                    self._lengths = None
                self._secrets[secret] = None
                self._secrets.move_to_end(secret)
            while len(self._secrets) > _MOST_KNOWN:  # tokens come and go for as long as a process lives
                self._secrets.popitem(last=False)

    def masked_in(self, text: str) -> str:
        if not self._secrets:
            return text
        pattern, lengths = self._compiled()
        parts: list[str] = []
        done = position = 0
        while match := pattern.search(text, position):
            position = match.start()
            found = next((length for length in lengths[match[0]] if text[position : position + length] in self._secrets), 0)
            if not found:
                position += 1
                continue
            parts += [text[done:position], MASK]
            done = position = position + found
        return "".join([*parts, text[done:]])

    def _compiled(self) -> tuple[re.Pattern[str], Mapping[str, tuple[int, ...]]]:
        with self._lock:
            if self._lengths is None or self._beginnings is None:
                gathered: defaultdict[str, set[int]] = defaultdict(set)
                for secret in self._secrets:
                    gathered[secret[:_LEAST_SECRET_LENGTH]].add(len(secret))
                self._lengths = {beginning: tuple(sorted(lengths, reverse=True)) for beginning, lengths in gathered.items()}
                self._beginnings = re.compile(_any_of(sorted(gathered)), re.DOTALL)
            return self._beginnings, self._lengths


def _any_of(words: Sequence[str]) -> str:
    """A pattern for words of one length that shares what they begin with."""
    if len(words) == 1:
        return re.escape(words[0])
    by_letter = itertools.groupby(words, key=lambda word: word[0])
    return "(?:" + "|".join(re.escape(letter) + _any_of([word[1:] for word in group]) for letter, group in by_letter) + ")"


_known: Final = _Known()


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
