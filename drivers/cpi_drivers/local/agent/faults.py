"""What the agent says when it cannot do what it was asked."""


class Fault(Exception):
    """A message for the caller; it goes out as `{"exception": {"message": …}}`."""

    def within(self, doing: str) -> "Fault":
        """The same, with what was being done before it, as the BOSH agent words it."""
        return Fault(f"{doing}: {self}")
