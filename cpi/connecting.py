"""From a configuration to a Cloud ready to use."""

from collections.abc import Mapping

from cpi import config, registry
from cpi.contract.cloud import Cloud
from cpi.contract.model import CallContext


def connect(source: config.Source, context: CallContext | None = None) -> Cloud:
    """The cloud that a configuration (a path or a document) describes, with the context laid over the driver's block.

    Raises CpiError listing every fault of the configuration, or what to install.
    """
    document = config.read_document(source)
    cloud_class = registry.load(config.plugin_of(document))
    return cloud_class.connect(config.cloud_config(document, cloud_class.block or cloud_class.name, context))


def drivers() -> Mapping[str, type[Cloud]]:
    """Every driver that loads here, by name."""
    return {name: registry.load(name) for name in registry.driver_names()}
