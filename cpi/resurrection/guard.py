"""The meltdown guard: when many are down at once, it is the network or the cloud, and recreating would make it worse. Pure."""

from collections.abc import Collection

from cpi.resurrection.rules import Meltdown


class Guard:
    """Who was down of late."""

    def __init__(self, rules: Meltdown, of: int) -> None:
        """of is how many there are in all."""
        self._rules = rules
        self._of = of
        self._down: dict[str, float] = {}
        self._suspects: frozenset[str] = frozenset()

    def see(self, down: Collection[str], suspects: Collection[str], now: float) -> None:
        """These are down now, and those may be: they count as long as they do."""
        self._down |= dict.fromkeys(down, now)
        self._suspects = frozenset(suspects)
        self._down = {name: when for name, when in self._down.items() if now - when < self._rules.within}

    @property
    def down(self) -> tuple[str, ...]:
        """All that were down of late, or may be now."""
        return tuple(sorted(self._suspects.union(self._down)))

    @property
    def is_meltdown(self) -> bool:
        """Whether nothing may be recreated."""
        count = len(self.down)
        return count >= self._rules.count and 100 * count >= self._rules.percent * self._of
