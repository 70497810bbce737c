"""What can be wrong, in words for the one who builds."""


class Fault(Exception):
    """It cannot be built; says why and what to do."""
