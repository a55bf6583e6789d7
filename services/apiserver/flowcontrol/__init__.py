"""API Priority and Fairness: who is served when not all can be.

config → levels (matching, seats) → queueset (fair queuing). stages/flowcontrol.py puts requests
through it; configuration.py keeps it as the objects say; nothing in here knows HTTP.
"""

from services.apiserver.flowcontrol.configuration import FlowConfiguration
from services.apiserver.flowcontrol.defaults import ensure_defaults
from services.apiserver.flowcontrol.estimate import WorkEstimator
from services.apiserver.flowcontrol.levels import PriorityLevels
from services.apiserver.flowcontrol.queueset import QueueSet, Ticket
from services.apiserver.flowcontrol.tally import Refused, Tally
from services.apiserver.flowcontrol.work import ONE_SEAT, Work

__all__ = [
    "ONE_SEAT",
    "FlowConfiguration",
    "PriorityLevels",
    "QueueSet",
    "Refused",
    "Tally",
    "Ticket",
    "Work",
    "WorkEstimator",
    "ensure_defaults",
]
