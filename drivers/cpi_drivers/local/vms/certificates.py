"""Certificates of agents, signed by an authority made once per cloud."""

import datetime as dt
import ipaddress
import os
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cpi_drivers.local.host import locks
from cpi_drivers.local.host.layout import Layout

_LIFE: Final = dt.timedelta(days=3650)
_CLOCKS_DIFFER: Final = dt.timedelta(hours=1)


class Certificate(NamedTuple):
    """A certificate with its key and who signed it, as PEM."""

    authority: str
    certificate: str
    private_key: str


def certificate_for(layout: Layout, address: str, name: str) -> Certificate:
    """A certificate for who listens at address; the authority is made now if there is none."""
    authority, authority_key = _authority(layout)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_named(name), authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_signed_by(authority), critical=False)
    )
    return Certificate(_pem(authority), _pem(builder.sign(authority_key, hashes.SHA256())), _key_pem(key))


def _authority(layout: Layout) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path = layout.authority / "authority.pem"
    with locks.held(layout.lock("ca"), "the certificate authority"):
        if not path.exists():
            _make_authority(layout)
    pem = path.read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OSError(f"{path} holds no key of an elliptic curve")
    return x509.load_pem_x509_certificate(pem), key


def _make_authority(layout: Layout) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"local cloud {os.urandom(4).hex()}")
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_for_signing(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    layout.authority.mkdir(mode=0o700, exist_ok=True)
    # key and certificate in one file, put there in one step: never one without the other
    draft = layout.authority / ".authority.pem.new"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as stream:
        stream.write(_key_pem(key) + _pem(certificate))
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(layout.authority / "authority.pem")


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _LIFE)
    )


def _for_signing() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _signed_by(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
