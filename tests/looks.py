"""Every look a page has: narrow and wide, light and dark, in both languages."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, Literal, NamedTuple

import pytest
from conftest import MINUTES
from playwright.sync_api import Browser, Page

SIZES = {"narrow": {"width": 390, "height": 844}, "wide": {"width": 1440, "height": 900}}
LOCALES = {"en": "en-US", "ko": "ko-KR"}


class Look(NamedTuple):
    """How a visitor's browser is set."""

    size: str
    scheme: Literal["light", "dark"]
    language: str

    def __str__(self) -> str:
        return "-".join(self)


LOOKS = [Look(*one) for one in product(SIZES, ("light", "dark"), LOCALES)]
"""All eight."""
LAYOUTS = [Look(size, "light", language) for size, language in product(SIZES, LOCALES)]
"""The four in which words and places differ."""


def mine(own: Collection[Look], looks: Collection[Look]) -> list[Any]:
    """Those of `looks` that a test takes as its `own`; the others are for `make test-browser`."""
    return [pytest.param(one, marks=[] if one in own else pytest.mark.slow, id=str(one)) for one in looks]


@contextmanager
def looking(browser: Browser, look: Look) -> Iterator[Page]:
    """A page of a visitor of its own, whose browser looks so."""
    seen: dict[str, Any] = {"locale": LOCALES[look.language], "color_scheme": look.scheme}
    # Where a style moves, a measure taken meanwhile is of neither its beginning nor its end.
    with browser.new_context(viewport=SIZES[look.size], reduced_motion="reduce", **seen) as context:
        page = context.new_page()
        page.set_default_timeout(MINUTES)
        yield page
