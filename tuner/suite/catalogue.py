"""Every general item, the digest that names this very suite, and the order in which an assistant is asked.

The order is fixed for each assistant and takes kinds and languages in turn, so that any beginning of it
is a fair part of the whole, and equal parts are compared with each other. Asks nobody.

Trail: tuner/examine.py -> here -> tuner/suite/shaping.py
"""

import hashlib
import inspect
from functools import cache
from itertools import chain, zip_longest

from tuner.suite import (
    chatting,
    content,
    conversing,
    declining,
    form,
    knowing,
    korean_facts,
    korean_forms,
    marking,
    reading,
    reckoning,
    shaping,
)
from tuner.suite.item import Item

SHEETS = (chatting, shaping, reckoning, knowing, conversing, declining, korean_forms, korean_facts)
CHECKERS = (reading, form, content, marking)
SAFETY = ("refusal", "helping")
"""Kinds in which what a base always does right must not be lost."""


@cache
def items() -> tuple[Item, ...]:
    return tuple(chain.from_iterable(sheet.items() for sheet in SHEETS))


@cache
def digest() -> str:
    """Names items and checkers alike; results are comparable only under one digest."""
    whole = hashlib.sha256("".join(item.digest for item in items()).encode())
    for checker in CHECKERS:
        whole.update(inspect.getsource(checker).encode())
    return whole.hexdigest()[:16]


def ordered(assistant: str) -> list[Item]:
    """All items in this assistant's order."""
    strata: dict[tuple[str, str], list[Item]] = {}
    for item in sorted(items(), key=lambda item: _place(assistant, item.id)):
        strata.setdefault((item.kind, item.language), []).append(item)
    turns = (strata[key] for key in sorted(strata, key=lambda key: _place(assistant, ".".join(key))))
    return [item for item in chain.from_iterable(zip_longest(*turns)) if item is not None]


def _place(assistant: str, name: str) -> str:
    return hashlib.sha256(f"{assistant}\n{name}".encode()).hexdigest()
