"""From an SDK's exceptions to the contract's errors, by a table."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from cpi.contract import errors

Table = Mapping[type[BaseException], Callable[[BaseException], errors.Error]]


@contextlib.contextmanager
def translated(table: Table) -> Iterator[None]:
    """Raises what the table makes of an exception, most specific class first; what it does not name passes as it is."""
    try:
        yield
    except errors.Error:
        raise
    except tuple(table) as error:
        for kind in type(error).__mro__:
            if kind in table:
                raise table[kind](error) from error
        raise
