"""Writes the short EC2 description: `python -m drivers.aws.shortening`, after operations.py or botocore changed."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from drivers.aws.connecting import SHORT_MODELS
from drivers.aws.operations import OPERATIONS

VERSION = "2016-11-15"
PLACE = Path(SHORT_MODELS) / "ec2" / VERSION / "service-2.json.gz"


def shortened(model: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The description with those operations and the shapes that they use."""
    operations = {name: _without_prose(model["operations"][name]) for name in sorted(names)}
    shapes: dict[str, Any] = {}
    open_ends = [shape for operation in operations.values() for shape in _shapes_in(operation)]
    while open_ends:
        name = open_ends.pop()
        if name not in shapes:
            shapes[name] = _without_prose(model["shapes"][name])
            open_ends += _shapes_in(shapes[name])
    kept = {key: value for key, value in model.items() if key not in {"operations", "shapes", "documentation"}}
    return {**kept, "operations": operations, "shapes": dict(sorted(shapes.items()))}


def _shapes_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["shape"]] if isinstance(value.get("shape"), str) else []
        return own + [name for item in value.values() for name in _shapes_in(item)]
    if isinstance(value, list):
        return [name for item in value for name in _shapes_in(item)]
    return []


def _without_prose(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_prose(item) for key, item in value.items() if not (key == "documentation" and isinstance(item, str))
        }
    if isinstance(value, list):
        return [_without_prose(item) for item in value]
    return value


def ec2_operations() -> list[str]:
    """The actions of EC2 that the driver calls."""
    return [name for name, operation in OPERATIONS.items() if operation.service == "ec2"]


def main() -> None:
    """Write the file from the botocore that is installed."""
    from botocore.loaders import Loader

    whole = Loader().load_service_model("ec2", "service-2", VERSION)
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    document = json.dumps(shortened(whole, ec2_operations()), separators=(",", ":")).encode()
    PLACE.write_bytes(gzip.compress(document, mtime=0))


if __name__ == "__main__":
    main()
