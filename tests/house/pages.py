"""Writes what is generated: docs/contract.md, docs/api.md, parts of docs/conformance.md, the table in README.md, pictures, and
the schemas of the release's jobs.

python -m tests.house.pages
"""

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import cpi
from cpi.contract import errors
from cpi.contract.cloud import Cloud
from cpi.contract.encoding import from_plain
from cpi.migration.picture import picture
from cpi.migration.report import Report
from cpi.testing import clause_table
from tests.house import api_page, job_schemas, property_tables
from tests.house.source import ROOT

_TABLE = re.compile(r"(?<=<!-- drivers: written by `make docs` -->\n).*?(?=<!-- end of drivers -->)", re.DOTALL)
_CLAUSES = re.compile(r"(?<=<!-- clauses: written by `make docs` -->\n).*?(?=<!-- end of clauses -->)", re.DOTALL)
_END = re.compile(r":\s*(# noqa.*)?$")
_HEAD = """# The contract

Generated from `cpi/contract/cloud.py` by `make docs`: change it there. Each method has the same clauses. *Given* is what the
caller must ensure, *Then* what is true afterwards, *Again* what a second call with the same arguments does, *Raises* how it
fails. The conformance suite has a test for each clause.

"""


def generated() -> dict[str, str]:
    """The text that each generated page should have."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    suite = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")
    return {
        "docs/contract.md": contract_page(),
        "docs/api.md": api_page.page(),
        "docs/conformance.md": _CLAUSES.sub(lambda _: clause_table.as_markdown(), suite),
        "README.md": _TABLE.sub(lambda _: driver_table(), readme),
        **property_tables.generated(),
        **job_schemas.generated(),
        **{f"docs/pictures/{name}-move.svg": picture(_recorded(name)) for name in ("live", "failed")},
    }


def _recorded(name: str) -> Report:
    return from_plain(json.loads((ROOT / f"fixtures/moves/{name}.json").read_text(encoding="utf-8")), Report)


def driver_table() -> str:
    """The drivers that load here, as a table."""
    rows = [
        f"| [`{name}`](docs/drivers/{name}.md) | {', '.join(f'`{form}`' for form in cloud.stemcell_formats)} | {_powers(cloud)} |"
        for name, cloud in cpi.drivers().items()
    ]
    return "\n".join(["| driver | stemcells | optional powers |", "|---|---|---|", *rows, ""])


def _powers(cloud: type[Cloud]) -> str:
    return ", ".join(sorted(power.value.replace("_", " ") for power in cloud.capabilities)) or "none"


def contract_page() -> str:
    """Every method with its clauses, then the ten errors."""
    methods = (method for name, method in vars(Cloud).items() if not name.startswith("_") and callable(getattr(Cloud, name)))
    return _HEAD + "\n".join(map(_method, methods)) + _errors()


def _method(method: Any) -> str:
    function: Callable[..., Any] = getattr(method, "__func__", method)
    summary, _, clauses = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
    shown = "\n".join(f"- **{name}** {text}" for name, text in _clauses(clauses))
    return f"## {function.__name__}\n\n```python\n{_signature(function)}\n```\n\n{summary}\n\n{shown}\n"


def _signature(function: Callable[..., Any]) -> str:
    source = textwrap.dedent(inspect.getsource(function))
    head = source[source.index("def ") : source.index('"""')].strip()
    return _END.sub("", head)


def _clauses(text: str) -> Iterator[tuple[str, str]]:
    for block in re.split(r"\n(?=\w+:)", text):
        name, _, rest = block.partition(":")
        yield name, " ".join(rest.split())


def _errors() -> str:
    rows = [f"| `{error.__name__}` | `{error.wire_name}` | {inspect.cleandoc(error.__doc__ or '')} |" for error in errors.TEN]
    return "\n".join(["", "## Errors", "", "| in Python | on the wire | meaning |", "|---|---|---|", *rows, ""])


def main() -> None:
    """Write every generated page."""
    for path, text in generated().items():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
