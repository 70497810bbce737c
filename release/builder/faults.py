"""What can be wrong, in words for the one who builds."""


class Fault(Exception):
    """It can not be built; says why and what to do."""
