"""A YAML file that an operator wrote, as plain values."""

from typing import Any

from cpi.contract import errors


def read_yaml(path: str, who: str) -> Any:
    """What is in it; who needs PyYAML (`fleets need`). Raises CpiError saying what is wrong with the file, or what to install."""
    try:
        import yaml
    except ImportError as missing:
        raise errors.CpiError(f"{who} PyYAML; install it with: pip install 'multicpi[migration]'") from missing
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the path is a plain string
            return yaml.safe_load(file)
    except OSError as error:
        raise errors.CpiError(f"{path} can not be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise errors.CpiError(f"{path} is not YAML: {error}") from error
