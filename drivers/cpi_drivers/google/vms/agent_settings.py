"""The VM's metadata: the agent's whole settings.

`bosh_settings` and `user_data` are those of the official CPI, which reads what this one wrote, and the other way round.
"""

from collections.abc import Mapping
from typing import Any, Final

from cpi.contract import errors as contract_errors
from cpi.contract.encoding import to_json
from cpi.contract.ids import VmCid
from cpi_drivers.google.api import errors, inventory
from cpi_drivers.google.api.account import Account
from cpi_drivers.google.disks.hints import SETTINGS, settings_in

Item = dict[str, Any]

USER_DATA: Final = "user_data"
LARGEST: Final = 256 * 1024


def initial_metadata(settings: Mapping[str, Any], name: str, nameservers: list[str]) -> list[Item]:
    """The metadata of a VM that is to be made. Raises CpiError if Google would not take it."""
    document = to_json(settings)
    if len(document) > LARGEST:
        raise contract_errors.CpiError(
            f"the VM's settings are {len(document)} bytes and Google takes {LARGEST}: shorten env (bosh.tags, certificates)"
        )
    user_data = {"server": {"name": name}, **({"dns": {"nameserver": nameservers}} if nameservers else {})}
    return [{"key": SETTINGS, "value": document.decode()}, {"key": USER_DATA, "value": to_json(user_data).decode()}]


def of_vm(account: Account, vm_cid: VmCid) -> Mapping[str, Any]:
    """What a VM was given. Raises VMNotFound."""
    settings = settings_in(inventory.describe_living(account, vm_cid)["metadata"].get("items", []))
    if settings is None:
        raise errors.Refused(f"the metadata of {vm_cid} hold no agent settings")
    return settings
