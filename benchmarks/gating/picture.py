"""The rates as a picture: a bar for each world, a column for each version, an SVG that needs nothing."""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

COLOURS = {"pass": "#2e7d4f", "abstain": "#c9c4b8", "refuse": "#b3402e"}
LEFT, WIDTH, GAP, HEIGHT, TOP = 190, 150, 24, 18, 56


def draw(path: Path, figures: Mapping[str, Any]) -> None:
    """Draw the cells at 100 instructions, with losses above and without below."""
    cells = [cell for cell in figures["cells"] if cell["instructions"] == 100]
    versions = list(dict.fromkeys(cell["version"] for cell in cells))
    rows = list(dict.fromkeys((cell["with_loss"], cell["world"]) for cell in sorted(cells, key=_order)))
    width = LEFT + len(versions) * (WIDTH + GAP)
    height = TOP + len(rows) * (HEIGHT + 6) + 40
    body = [*_heads(versions), *(line for cell in cells for line in _bar(cell, versions, rows))]
    body += [
        f'<text x="8" y="{TOP + n * (HEIGHT + 6) + 13}">{escape(world)}{"" if loss else ", no loss"}</text>'
        for n, (loss, world) in enumerate(rows)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    head += (
        ' font-family="system-ui, sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    )
    path.write_text("\n".join([head, *body, "</svg>"]) + "\n", "utf-8")


def _order(cell: Mapping[str, Any]) -> bool:
    return not cell["with_loss"]


def _heads(versions: list[str]) -> Iterator[str]:
    yield '<text x="8" y="20" font-weight="bold">Verdicts at 100 instructions, by true worth</text>'
    for n, (name, colour) in enumerate(COLOURS.items()):
        yield f'<rect x="{400 + 90 * n}" y="10" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{418 + 90 * n}" y="20">{name}</text>'
    for n, version in enumerate(versions):
        yield f'<text x="{LEFT + n * (WIDTH + GAP)}" y="44">{escape(version)}</text>'


def _bar(cell: Mapping[str, Any], versions: list[str], rows: list[tuple[bool, str]]) -> Iterator[str]:
    x = float(LEFT + versions.index(cell["version"]) * (WIDTH + GAP))
    y = TOP + rows.index((cell["with_loss"], cell["world"])) * (HEIGHT + 6)
    for decision, colour in COLOURS.items():
        wide = WIDTH * cell[decision]
        title = f"<title>{decision} {cell[decision]:.1%}</title>"
        yield f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{HEIGHT}" fill="{colour}">{title}</rect>'
        x += wide
