"""Certificates of agents."""

import ssl
import subprocess
import sys
import threading
from pathlib import Path

from cryptography import x509

from cpi_drivers.local.host.layout import Layout
from cpi_drivers.local.vms.certificates import certificate_for
from tests.drivers.local.place import Place

_MAKE = """
from cpi_drivers.local.vms.certificates import certificate_for
from cpi_drivers.local.host.layout import Layout
import sys
print(certificate_for(Layout(sys.argv[1]), "127.0.0.1", "vm").authority)
"""


def test_a_client_that_knows_the_authority_trusts_the_agent(tmp_path: Path) -> None:
    """At its address, and there only."""
    layout = Layout(str(tmp_path))
    layout.make_root()
    made = certificate_for(layout, "127.64.0.9", "vm-1")
    (tmp_path / "pem").write_text(made.certificate + made.private_key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "pem")
    client = ssl.create_default_context(cadata=made.authority)
    _shake(client, server, "127.64.0.9")
    names = x509.load_pem_x509_certificate(made.certificate.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(address) for address in names.value.get_values_for_type(x509.IPAddress)] == ["127.64.0.9"]


def _shake(client: ssl.SSLContext, server: ssl.SSLContext, address: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=address)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (one, other, one, other):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_the_authority_is_made_once(place: Place) -> None:
    """Also if many need the first at once; its key is for its owner alone."""
    place.layout.make_root()
    makers = [
        subprocess.Popen([sys.executable, "-c", _MAKE, str(place.root)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    found = {maker.communicate(timeout=60)[0] for maker in makers}
    threads = [threading.Thread(target=lambda: found.add(_authority(place))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert (place.layout.authority / "authority.pem").stat().st_mode & 0o777 == 0o600
    assert place.layout.authority.stat().st_mode & 0o777 == 0o700


def _authority(place: Place) -> str:
    return certificate_for(place.layout, "127.0.0.1", "vm").authority + "\n"
