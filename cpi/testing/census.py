"""What the cloud holds, counted before and after each test."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from cpi.testing.ledger import Leak, Ledger


class Census:
    """The count after one test is the count before the next, unless something was made meanwhile that the tests share."""

    def __init__(self, look: Callable[[], Mapping[str, int]] | None, common: Ledger) -> None:
        self._look = look
        self._common = common
        self._known: tuple[int, Mapping[str, int]] | None = None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """The block leaves the cloud as it was. Raises Leak."""
        if self._look is None:
            yield
            return
        before = self._known[1] if self._known and self._known[0] == self._common.held else dict(self._look())
        self._known = None  # until it is seen that nothing leaked
        yield
        after = dict(self._look())
        if after != before:
            raise Leak(f"the cloud held {before} before the test, and holds {after} after it")
        self._known = (self._common.held, after)
