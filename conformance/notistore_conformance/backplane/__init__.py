"""What `notistore.backplane.Backplane` promises, checked on any backplane."""

from .checks import BACKPLANE_CHECKS
from .stage import BackplaneStage
from .subject import BackplaneSubject

__all__ = ["BACKPLANE_CHECKS", "BackplaneStage", "BackplaneSubject"]
