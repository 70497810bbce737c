"""What people read holds no secret."""

import base64
import html
import json
import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from cpi.contract import errors
from cpi.kit.redaction import MASK, is_secret_key, masked, remember, scrubbed, secrets_in, spellings

HIDDEN_KEYS = (
    "password passwd passphrase bosh_password secret secret_access_key token api_key private_key privateKey credentials json_key "
    "authorization signature user_data mbus cert key blobstore blobstores access_key "
    "client_key ssl_key pass pwd dsn database_dsn cookie bearer connection_string"
)
SHOWN_KEYS = (
    "name region access_key_id secret_id key_name default_key_name kms_key_arn kms_key http_tokens credentials_source keypair "
    "monkey private_key_path certificate_name keystone_url"
)


@pytest.mark.parametrize("key", HIDDEN_KEYS.split())
def test_a_secret_is_known_by_its_key(key: str) -> None:
    """In any case."""
    assert is_secret_key(key)
    assert is_secret_key(key.upper())


@pytest.mark.parametrize("key", SHOWN_KEYS.split())
def test_an_ordinary_key_is_no_secret(key: str) -> None:
    """Too much hidden is no help to anybody."""
    assert not is_secret_key(key)


def test_a_document_is_masked_by_its_keys() -> None:
    """Whole subtrees; what is empty shows, since that is often the fault."""
    document = {
        "region": "eu",
        "password": "hunter22",
        "secret": "",
        "zones": [{"token": 7, "name": "a"}],
        "blobstore": {"options": {"user": "x"}},
        "endpoint": "https://user:hunter22@host",
    }
    assert masked(document) == {
        "region": "eu",
        "password": MASK,
        "secret": "",
        "zones": [{"token": MASK, "name": "a"}],
        "blobstore": MASK,
        "endpoint": f"https://user:{MASK}@host",
    }
    assert masked((1, None, True)) == [1, None, True]


def test_text_is_scrubbed_of_what_looks_like_a_secret() -> None:
    """Passwords in URLs, private keys, whole or cut off."""
    key = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"
    assert (
        scrubbed(f"at nats://u:p@h:1 and https://:p@h with {key}!")
        == f"at nats://u:{MASK}@h:1 and https://:{MASK}@h with {MASK}!"
    )
    assert scrubbed(key[:40]) == MASK
    assert scrubbed("http://host:8080/path a:b@c") == "http://host:8080/path a:b@c"
    assert scrubbed("of the form https://USER:PASSWORD@HOST") == "of the form https://USER:PASSWORD@HOST"


def test_text_is_scrubbed_of_known_secrets() -> None:
    """The longer before the shorter that it holds."""
    assert scrubbed("hunter22! hunter2", {"hunter2", "hunter22"}) == f"{MASK}! {MASK}"


def test_the_secrets_of_a_document_are_found() -> None:
    """Under secret keys however deep, and in URLs; short words are too common to be hidden."""
    document = {
        "region": "eu-central",
        "password": "hunter22",
        "pin_secret": "1234",
        "credentials": {"user": "somebody", "more": ["something"]},
        "endpoint": "https://user:p%40ssword@host",
    }
    assert secrets_in(document) == {"hunter22", "somebody", "something", "p%40ssword", "p@ssword"}


def test_what_lies_beside_a_password_is_not_hidden() -> None:
    """A director called `director` must still be able to say so."""
    document = {
        "mbus": {"urls": ["https://mbus-user:mbus-password@0.0.0.0:6868"], "cert": {"ca": "ca-of-it", "private_key": "the-key"}},
        "blobstores": [{"provider": "davcli", "options": {"user": "director", "password": "hunter22"}}],
    }
    assert secrets_in(document) == {"mbus-password", "the-key", "hunter22"}
    assert secrets_in({"mbus": "nats://nats:nats-password@10.0.0.6"}) == {"nats://nats:nats-password@10.0.0.6", "nats-password"}


def test_a_secret_is_hidden_however_it_is_quoted() -> None:
    """In JSON, in Python, in a URL, and the lines of a long one."""
    secret = 'it\'s "a\\b/ü" &\nsecond line which is longer'  # noqa: S105 - made for this test
    hidden = spellings({secret})
    for text in (
        secret,
        json.dumps(secret),
        repr(secret),
        "it%27s%20%22a%5Cb%2F%C3%BC%22%20%26%0A",
        "second line which is longer",
    ):
        assert "longer" not in scrubbed(text, hidden)
    assert "it" not in scrubbed("x=" + "it%27s%20%22a%5Cb%2F%C3%BC%22%20%26%0Asecond%20line%20which%20is%20longer", hidden)


@pytest.mark.parametrize("text", ["x" * 10**6, "a." * 10**6, "https://" * 10**5, "https://a:" * 10**5, "-----BEGIN " * 10**5])
def test_a_megabyte_is_scrubbed_in_no_time(text: str) -> None:
    """An image in user data must not stop the CPI: no pattern here takes more than linear time."""
    began = time.process_time()
    scrubbed(text)
    secrets_in({"text": text})
    assert time.process_time() - began < 10


def test_what_a_process_knows_is_masked_in_every_spelling() -> None:
    """Also inside of base64, whatever stands before it, and in the messages of our errors."""
    secret = 'pa"ss\\word/ü+<&'  # noqa: S105 - made for this test
    remember([secret, "short", "another-secret"])
    for text in (
        secret,
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        json.dumps(json.dumps(secret)),
        repr(secret),
        quote(secret),
        quote_plus(secret),
        html.escape(secret),
        base64.b64encode(f"a:{secret}".encode()).decode(),
        base64.b64encode(f"ab:{secret}".encode()).decode(),
        base64.urlsafe_b64encode(f"user:{secret}:x".encode()).decode(),
    ):
        assert MASK in scrubbed(f"({text})"), text
    assert scrubbed("a short another-secret, another-secre") == f"a short {MASK}, another-secre"
    error = errors.CloudError("refused: another-secret")
    assert (str(error), error.message) == (f"refused: {MASK}", f"refused: {MASK}")


def test_of_secrets_that_begin_alike_the_longest_is_masked() -> None:
    """And one that begins inside of what only began like another."""
    remember(["secret-1", "secret-12", "ret-xy-z"])
    assert scrubbed("secret-123 secret-xy-z") == f"{MASK}3 sec{MASK}"


def test_many_secrets_cost_little_more_than_one() -> None:
    """CPU time in one run: 8,000 of them over a megabyte beside a single one; a search for each would take thousands of times."""
    text = "password1 secret word " * 50_000
    remember(["a-single-secret"])
    began = time.process_time()
    scrubbed(text)
    single = time.process_time() - began
    remember(f"password{number:05}-{number}" for number in range(8_000))
    scrubbed("")
    began = time.process_time()
    scrubbed(text)
    assert time.process_time() - began < 100 * max(single, 0.01)


def test_no_document_is_too_odd() -> None:
    """Keys that are no strings, values of any kind."""
    document: Any = {1: {None: (1, {"password": 5})}}
    assert masked(document) == {1: {None: [1, {"password": MASK}]}}
    assert secrets_in(document) == frozenset()
