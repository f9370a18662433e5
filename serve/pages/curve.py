"""The loss curve as an SVG: drawn on the server, so that the page needs no plotting library."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from serve.pages.words import Language, say

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 220, 44, 22
SERIES = (("loss", "loss_train"), ("dev_nll", "loss_dev"))
MOST_POINTS = 400


def curve(history: Sequence[Mapping[str, Any]], language: Language) -> str:
    """Training and held-out loss by step; empty until there are two points to join."""
    lines = {key: _points(history, key) for key, _ in SERIES}
    everything = [point for points in lines.values() for point in points]
    if len(lines["loss"]) < 2:
        return ""
    last = max(step for step, _ in everything)
    low, high = min(0.0, *(loss for _, loss in everything)), max(loss for _, loss in everything) or 1.0
    drawn = "".join(_line(lines[key], key, last, low, high) for key, _ in SERIES)
    legend = " ".join(
        f'<span class="{key}">{say(language, word)}{_newest(lines[key])}</span>'
        for key, word in SERIES
        if lines[key]
    )
    return (
        f'<figure class="curve"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(say(language, "loss"))}">{_axes(last, low, high)}{drawn}</svg>'
        f"<figcaption>{legend}</figcaption></figure>"
    )


def _points(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) pairs, thinned so that a long run stays a small page."""
    found = [
        (float(line["step"]), float(line[key]))
        for line in history
        if isinstance(line.get("step"), int | float) and isinstance(line.get(key), int | float)
    ]
    finite = [point for point in found if point[1] == point[1] and abs(point[1]) < 1e6]
    every = len(finite) // MOST_POINTS + 1
    return finite[::every] if finite[-1:] == finite[::every][-1:] else [*finite[::every], finite[-1]]


def _newest(points: Sequence[tuple[float, float]]) -> str:
    return f" {points[-1][1]:.3f}"


def _place(point: tuple[float, float], last: float, low: float, high: float) -> str:
    step, loss = point
    x = LEFT + (WIDTH - LEFT - 8) * step / (last or 1)
    y = 8 + (HEIGHT - BOTTOM - 8) * (1 - (loss - low) / ((high - low) or 1))
    return f"{x:.1f},{y:.1f}"


def _line(points: Sequence[tuple[float, float]], key: str, last: float, low: float, high: float) -> str:
    if not points:
        return ""
    places = [_place(point, last, low, high) for point in points]
    dots = "".join(
        '<circle class="{}" cx="{}" cy="{}" r="3"/>'.format(key, *place.split(","))
        for place in places
        if len(places) < 30
    )
    return f'<polyline class="{key}" points="{" ".join(places)}"/>{dots}'


def _axes(last: float, low: float, high: float) -> str:
    floor = HEIGHT - BOTTOM
    marks = "".join(
        f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{value:.2f}</text>'
        for y, value in ((14, high), (floor, low))
    )
    return (
        f'<path class="axes" d="M{LEFT},8V{floor}H{WIDTH - 8}"/>{marks}'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 4}" text-anchor="end">{last:.0f}</text>'
    )
