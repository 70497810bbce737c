"""Blocks as jobs render them and as people write them, generated: each key absent, null, empty, its default, or a value."""

from typing import Any, Final

from hypothesis import strategies as st

ABSENT: Final = object()
TEXT: Final = st.sampled_from(["a", "bosh-1", 12345])
LIST: Final = st.lists(st.sampled_from(["bosh", "sg-1", 7]), max_size=3)
FLAG: Final = st.sampled_from([True, False, "true", "false"])
NUMBER: Final = st.sampled_from([1, 8, "8", 100, "4000", 8.0])

Kind = st.SearchStrategy[Any]


def rendered(keys: dict[str, Kind], *, always: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """A block with each key in one of its states; those of always have a value."""
    states = {
        key: kind if key in always else st.one_of(kind, st.none(), st.just(ABSENT), st.just("")) for key, kind in keys.items()
    }
    return st.fixed_dictionaries(states).map(lambda block: {key: value for key, value in block.items() if value is not ABSENT})
