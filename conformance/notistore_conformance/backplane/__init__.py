"""What `notistore.hub.backplane.Backplane` promises, checked on any backplane."""

from .implementation import BackplaneImplementation
from .runner import BackplaneRunner

__all__ = ["BackplaneImplementation", "BackplaneRunner"]
