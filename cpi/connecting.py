"""From a configuration to a Cloud ready to use."""

from collections.abc import Mapping

import msgspec

from cpi import config, registry
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.model import CallContext
from cpi.kit.redaction import remember, secrets_in


def connect(source: config.Source, context: CallContext | None = None, *, session: object | None = None) -> Cloud:
    """The cloud that a configuration (a path or a document) describes, with the context laid over the driver's block.

    A token in the context is that of its create_vm and create_disk calls; Cloud.for_request gives each request its own.

    session is a login that the caller already has. It takes the place of the credentials in the configuration. Its type depends
    on the driver: boto3.Session (aws), openstack.connection.Connection (openstack), google.auth.credentials.Credentials (google),
    vim.ServiceInstance of pyVmomi (vsphere), libcloud's CloudStackNodeDriver (cloudstack). Other drivers take none. It stays the
    caller's: closing the Cloud does not end it.

    Raises CpiError listing every fault of the configuration, or what to install, or for a session that the driver cannot use.
    """
    document = config.read_document(source)
    remember(secrets_in(document))
    if context is not None:
        remember(secrets_in(context.properties))
    cloud_class = registry.load(config.plugin_of(document))
    if session is not None:
        _check_session(cloud_class, session)
    read, faults = config.read_cloud_config(document, block_of(cloud_class), context)
    read = msgspec.structs.replace(read, session=session)
    try:
        cloud = cloud_class.connect(read)
    except errors.CpiError as error:
        if not faults:
            raise
        told = {fault.partition(":")[0] for fault in faults}
        more = [fault for fault in config.faults_in(error) if fault.partition(":")[0] not in told]
        raise config.faulty([*faults, *more]) from error
    if faults:
        cloud.close()
        raise config.faulty(faults)
    if context is not None and context.token:
        return cloud.for_request(context.request_id, context.token)
    return cloud


def _check_session(cloud_class: type[Cloud], session: object) -> None:
    """By the names of its types, so that no SDK is imported for it."""
    wanted, given = cloud_class.session_type, type(session)
    if not wanted:
        raise errors.CpiError(f"session: the driver {cloud_class.name} takes no session; it logs in with the configuration")
    if wanted not in {f"{kind.__module__}.{kind.__qualname__}" for kind in given.__mro__}:
        got = f"{given.__module__}.{given.__qualname__}".removeprefix("builtins.")
        raise errors.CpiError(f"session: the driver {cloud_class.name} takes a {wanted}, got a {got}")


def block_of(cloud_class: type[Cloud]) -> config.Block:
    """Where a driver's own block is in a configuration."""
    return config.Block(cloud_class.block or cloud_class.name, cloud_class.other_blocks, cloud_class.beside_block)


def drivers() -> Mapping[str, type[Cloud]]:
    """Every driver that loads here, by name."""
    return {name: registry.load(name) for name in registry.driver_names()}
