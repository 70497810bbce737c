"""A session that the caller brings: libcloud's driver of CloudStack. Each call is signed: there is nothing to log in to."""

from typing import Any, Final

import msgspec

from cpi.contract.model import CloudConfig
from cpi.kit.settings import with_session

_LOGIN: Final = frozenset({"endpoint", "api_key", "secret_access_key"})


def configured(config: CloudConfig) -> CloudConfig:
    """The configuration with the endpoint and the keys of a CloudStackNodeDriver."""
    theirs = config.session
    if theirs is None:
        return config
    values = {"endpoint": _url(theirs), "api_key": theirs.key, "secret_access_key": theirs.secret}
    return msgspec.structs.replace(config, properties=with_session(config.properties, values, _LOGIN))


def _url(theirs: Any) -> str:
    wire = theirs.connection
    host = f"[{wire.host}]" if ":" in wire.host else wire.host
    return f"{'https' if wire.secure else 'http'}://{host}:{wire.port}{theirs.path}"
