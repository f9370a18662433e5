"""Stands back from people's chats: the training child computes only when nothing else of Hone wants to.

Linux has a policy for that, and whoever wakes takes the processor from such a thread at once; elsewhere the
lowest priority must do. Either counts only among processes of one session, for Linux divides the processors
between sessions first: so the parent starts the child in its own. Knows nothing of training.

Trail: tuner/train.py -> here
"""

import os
from contextlib import suppress

LOWEST = 19


def stand_back() -> None:
    """To be called before any other thread starts: those inherit it, those that run already do not."""
    with suppress(OSError, AttributeError):
        os.nice(LOWEST)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
