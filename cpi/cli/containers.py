"""`cpi containers`: from other descriptions of containers to a watch file."""

from pathlib import Path
from typing import Annotated

import typer

from cpi.cli import screen
from cpi.contract import errors

containers = typer.Typer(help="Containers as jobs of the local cloud.", no_args_is_help=True)


@containers.callback()
def group() -> None:
    """Containers as jobs of the local cloud (see docs/containers.md)."""


@containers.command(name="import", no_args_is_help=True)
def from_manifest(
    manifest: Annotated[Path, typer.Argument(help="Manifest of a deployment of the Docker BOSH release.")],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the watch file here. [default: stdout]")] = None,
    config: Annotated[str, typer.Option(help="The cloud's configuration, as the watch file names it.")] = "cpi.json",
) -> None:
    """Turn properties.containers of the Docker BOSH release into a watch file; what has no counterpart is listed on stderr."""
    from cpi.kit.yaml_file import as_yaml, read_yaml
    from cpi.resurrection.docker_release import imported

    found = imported(read_yaml(str(manifest), "manifests need", "watch"), config)
    text = as_yaml(found.document)
    if output is None:
        screen.out().print(text, soft_wrap=True, markup=False, highlight=False, end="")
    else:
        _write(output, text)
    for line in found.left_out:
        screen.err().print(f"left out: {line}", soft_wrap=True, markup=False, highlight=False)


def _write(path: Path, text: str) -> None:
    if path.exists():
        raise errors.CpiError(f"{path} exists already: it is left as it is")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise errors.CpiError(f"{path} cannot be written: {error.strerror}") from error
    path.chmod(0o600)
