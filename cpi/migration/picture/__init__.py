"""A move as a picture: one SVG document that needs nothing beside it, for an incident review.

timeline says what is shown, layout where, drawing writes it down.
"""

from cpi.migration.picture.drawing import drawn
from cpi.migration.picture.layout import laid_out
from cpi.migration.report import Report


def picture(report: Report) -> str:
    """The SVG document of a move that has ended, however it did."""
    return drawn(laid_out(report))


__all__ = ["picture"]
