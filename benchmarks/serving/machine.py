"""What a measurement ran on, and how much memory a process holds. Knows nothing of servers."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("torch", "transformers", "httpx")


def cores() -> int:
    """Threads for those who do not choose themselves: as many as our engine takes."""
    return len(os.sched_getaffinity(0))


def describe() -> dict[str, object]:
    """The processor, the memory and the versions that the figures belong to."""
    found: dict[str, object] = {
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text("utf-8").splitlines() if table.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def memory(pid: int) -> float:
    """MiB that a process and its children hold in memory; pages they share are counted once each."""
    held = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                held += one.memory_info().rss
    return held / 2**20
