"""Fan-out of events to the open streams of this process and, through a backplane, of other processes.

Begin reading with the module `hub`, whose docstring describes the path of an event.
"""

from .hub import HubStats, SseHub
from .subscription import EndReason, Subscription
from .writer import Writer

__all__ = ["EndReason", "HubStats", "SseHub", "Subscription", "Writer"]
