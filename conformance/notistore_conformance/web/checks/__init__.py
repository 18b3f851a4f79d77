"""The checks, one file per part of the wire; importing this package registers them all, in reading order."""

from . import pages, counts, marks, views, refusals, streams  # noqa: I001  (the order of a report)

__all__ = ["counts", "marks", "pages", "refusals", "streams", "views"]
