"""What the machine offers: the one place that counts its cores."""

import os

import psutil


def physical_cores() -> int:
    """Cores this process may use; hyper-threads do not make matrix products faster."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, psutil.cpu_count(logical=False) or available))
