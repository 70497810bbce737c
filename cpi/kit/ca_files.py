"""CA certificates that endpoints are checked with: of the configuration, or of the file that the official jobs lay there."""

import os
import sys
from pathlib import Path

from cpi.kit import private_files


def ca_bundle(pem: str | None) -> str | None:
    """The path of a file with the certificates; None: those that the system trusts.

    Those of the configuration, else the file that $BOSH_CA_CERT_FILE names, else `config/cacert.pem` beside the executable's
    folder.
    A file without a certificate counts for nothing: jobs render an empty one where no certificate is given.
    """
    if pem:
        return private_files.certificates(private_files.folder(), pem)
    named = os.environ.get("BOSH_CA_CERT_FILE")
    beside = [Path(sys.argv[0]).absolute(), Path(sys.argv[0]).resolve()]
    places = [Path(named)] if named else [path.parent.parent / "config" / "cacert.pem" for path in beside]
    return next((str(path) for path in places if _holds_certificates(path)), None)


def _holds_certificates(path: Path) -> bool:
    try:
        return "-----BEGIN" in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
