"""Proxies: which is used for what, and what no_proxy names."""

import pytest

from cpi.contract import errors
from cpi.kit.proxies import Proxies, is_bypassed, read_proxy
from cpi.kit.settings import read_settings


@pytest.mark.parametrize(
    ("no_proxy", "host", "bypassed"),
    [
        ("amazonaws.com", "ec2.eu-west-1.amazonaws.com", True),
        (".amazonaws.com", "ec2.eu-west-1.amazonaws.com", True),
        ("*.amazonaws.com", "ec2.eu-west-1.amazonaws.com", True),
        ("AmazonAWS.com.", "ec2.eu-west-1.amazonaws.com", True),
        ("aws.com", "ec2.eu-west-1.amazonaws.com", False),
        ("googleapis.com", "googleapis.com", True),
        (".googleapis.com", "googleapis.com", True),
        ("a.example, googleapis.com", "compute.googleapis.com", True),
        ("a.example googleapis.com", "compute.googleapis.com", True),
        ("googleapis.com:443", "compute.googleapis.com", True),
        ("googleapis.com:8443", "compute.googleapis.com", False),
        ("*", "anything.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "ten.example", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("1.2.3", "10.1.2.3", False),
        ("fd00::/8", "fd00::5", True),
        ("::1", "::1", True),
        ("[::1]:443", "::1", True),
        ("[::1]:80", "::1", False),
        ("", "a.example", False),
        (" , ", "a.example", False),
        (".", "a.example", False),
    ],
)
def test_no_proxy_has_one_meaning(no_proxy: str, host: str, *, bypassed: bool) -> None:
    """Domains with a dot or without, blanks, networks, ports, all."""
    assert is_bypassed(host, 443, no_proxy) is bypassed
    url = f"https://[{host}]/x" if ":" in host else f"https://{host}/x"
    assert (Proxies(https_proxy="p:1", no_proxy=no_proxy).for_url(url) is None) is bypassed


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://169.254.170.2/v2",
        "http://metadata.google.internal/computeMetadata",
        "http://[fd00:ec2::254]/latest",
    ],
)
def test_instance_metadata_is_never_asked_by_a_proxy(url: str) -> None:
    """It tells who asks by where the question comes from."""
    assert Proxies(http_proxy="http://proxy.example:3128").for_url(url) is None


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://proxy.example:3128/", "http://proxy.example:3128"),
        ("http://proxy.example", "http://proxy.example:3128"),
        ("http://u%40x:p%2Fw@proxy.example:80", "http://u%40x:p%2Fw@proxy.example:80"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
    ],
)
def test_a_proxy_may_be_given_without_its_scheme(given: str, url: str) -> None:
    """People write host and port."""
    assert read_proxy(given).url == url


def test_user_and_password_are_decoded() -> None:
    """Who speaks to a proxy without a library's help needs them plain."""
    address = read_proxy("http://u%40x:p%2Fw@proxy.example:80")
    assert (address.user, address.password, address.place) == ("u@x", "p/w", "proxy.example:80")


@pytest.mark.parametrize("given", ["ftp://secret:word@proxy.example:1", "http://", "http://secret:word@proxy.example:port"])
def test_what_is_no_proxy_is_a_fault_of_the_configuration(given: str) -> None:
    """Its key is named, its password is not."""
    with pytest.raises(errors.CpiError, match=r"cloud\.env: https_proxy is not a valid proxy") as caught:
        read_settings(Proxies, {"https_proxy": given}, "cloud.env")
    assert "word" not in caught.value.message


def test_the_environment_counts_where_the_configuration_names_no_proxy() -> None:
    """In small letters or in capitals."""
    found = Proxies.of_environment({"HTTPS_PROXY": "p:1", "no_proxy": "a.example"})
    assert found == Proxies(https_proxy="p:1", no_proxy="a.example")
    assert Proxies(http_proxy="q:1").or_of_environment() == Proxies(http_proxy="q:1")
