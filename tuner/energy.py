"""What the processors have used, in joules, where the machine tells (Linux's powercap, readable by few).

Counters begin anew at a value of their own, so whoever asks must ask often enough. A GPU's is not read.

Trail: tuner/meter.py -> here
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
MICRO = 1e-6

Counters = Mapping[str, tuple[float, float]]
"""By package: joules so far, and the joules at which the counter begins anew."""


def counters(place: Path = POWERCAP) -> dict[str, tuple[float, float]]:
    """The counters of whole packages; those of their parts are in them. Empty where none may be read."""
    found = {}
    for folder in sorted(place.glob("*:*")):
        with suppress(OSError, ValueError):
            if (folder / "name").read_text().startswith("package"):
                used, most = (
                    int((folder / name).read_text()) * MICRO for name in ("energy_uj", "max_energy_range_uj")
                )
                found[folder.name] = (used, most)
    return found


def between(before: Counters, after: Counters) -> float | None:
    """Joules used in between; None where no counter was read both times."""
    both = before.keys() & after.keys()
    if not both:
        return None
    used = 0.0
    for name in both:
        (then, most), (now, _) = before[name], after[name]
        used += now - then if now >= then else now - then + most
    return used
