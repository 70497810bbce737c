"""Keys for SSH: the VM's own, and those that are let in."""

from pathlib import Path

from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.layout import write_private


def host_key(path: Path) -> str:
    """Type and key, as in a known_hosts file, of the private key at path; it is made if there is none."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    openssh = serialization.PrivateFormat.OpenSSH
    if path.exists():
        key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    else:
        key = Ed25519PrivateKey.generate()
        write_private(path, key.private_bytes(serialization.Encoding.PEM, openssh, serialization.NoEncryption()).decode())
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def only_key(text: str) -> str:
    """Type and key alone: options before it, or a second line, would let in more than the key. Raises Fault."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        serialization.load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Fault(f"Setting ssh public key: it is no public key: {error}") from error
    if len(text.strip().splitlines()) != 1:
        raise Fault("Setting ssh public key: it must be one line")
    return " ".join(text.split()[:2])
