"""A YAML file that an operator wrote, as plain values."""

from typing import Any, Final

from cpi.contract import errors

_MOST_VALUES: Final = 1_000_000
"""With every alias written out: more is no file that anybody wrote, but one that is made to keep its reader busy."""


def read_yaml(path: str, who: str, extra: str) -> Any:
    """What is in it. Who needs PyYAML (`fleets need`), and the extra that brings it, are for the message where it is missing.

    Raises CpiError saying what is wrong with the file, or what to install.
    """
    try:
        import yaml
    except ImportError as missing:
        raise errors.CpiError(f"{who} PyYAML; install it with: pip install 'multicpi[{extra}]'") from missing

    class Loader(yaml.SafeLoader):
        """Merge keys (`<<`) are written out while it reads, so they are counted then."""

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            if len(node.value) > _MOST_VALUES:
                raise _too_large(path)

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the path is a plain string
            document = yaml.load(file, Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise errors.CpiError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise errors.CpiError(f"{path} is not YAML: {error}") from error
    _refuse_too_large(document, path)
    return document


def as_yaml(document: Any) -> str:
    """The text of a document, for people to change."""
    import yaml

    return str(yaml.safe_dump(document, sort_keys=False, width=120))


def _refuse_too_large(document: Any, path: str) -> None:
    count, ahead = 0, [document]
    while ahead:
        count += 1
        if count > _MOST_VALUES:
            raise _too_large(path)
        value = ahead.pop()
        if isinstance(value, dict):
            ahead += value.values()
        elif isinstance(value, list):
            ahead += value


def _too_large(path: str) -> errors.CpiError:
    return errors.CpiError(f"{path} has more than {_MOST_VALUES} values when its aliases (*name) are written out")
