"""Assistants: a name, a system prompt, a domain, and a line of versions of their own over the shared base.

An edit is a new event, so which prompt an old version was trained under can always be told. `general`
is in every store. Knows nothing of versions.
"""

import re
from dataclasses import asdict
from typing import Any

from feedback.errors import BadRequest, Conflict, NotFound
from feedback.lately import Lately
from feedback.records import Assistant
from feedback.store import Store
from feedback.writer import Transaction

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
MAX_CHARACTERS = {"title": 120, "domain": 64, "greeting": 2_000, "notice": 500, "system_prompt": 16_000}
MAX_EXAMPLES = 12
MAX_EXAMPLE = 500

_COLUMNS = "name, title, system_prompt, domain, greeting, examples, notice"


class Assistants:
    """The assistants of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: Lately[Assistant] = Lately(store, "assistants")

    def add(self, assistant: Assistant, principal: str) -> Assistant:
        """Make an assistant.

        Raises:
            BadRequest: The name or a field is not usable.
            Conflict: The name is taken.
        """
        _check(assistant)

        def add(transaction: Transaction) -> Assistant:
            if _find(transaction, assistant.name):
                raise Conflict(
                    f"There is an assistant {assistant.name} already.",
                    "Choose another name, or edit that one.",
                )
            transaction.append({"assistants": [_row(assistant, principal)]})
            return assistant

        return self._store.decide(add)

    def edit(self, assistant: Assistant, principal: str) -> Assistant:
        """Give the assistant of this name all these fields; an edit that changes nothing is no event."""
        _check(assistant)

        def edit(transaction: Transaction) -> Assistant:
            old = _find(transaction, assistant.name)
            if old is None:
                raise _unknown(assistant.name)
            if assistant != old:
                transaction.append({"assistants": [_row(assistant, principal)]})
            return assistant

        return self._store.decide(edit)

    def get(self, name: str) -> Assistant:
        """The assistant of this name as it is now; asked with every turn, so what was read is held."""
        found = self._known.get(name, lambda: _find(self._store, name))
        if found is None:
            raise _unknown(name)
        return found

    def list(self) -> tuple[Assistant, ...]:
        """All, in the order in which they were made."""
        rows = self._store.rows(f"SELECT {_COLUMNS} FROM assistant_now ORDER BY made_at, name")  # noqa: S608
        return tuple(_assistant(row) for row in rows)

    def prompts(self, name: str) -> frozenset[str]:
        """Every system prompt that this one ever had."""
        rows = self._store.rows("SELECT DISTINCT system_prompt FROM assistants WHERE name = $1", [name])
        return frozenset(row["system_prompt"] for row in rows if row["system_prompt"])


def _find(store: Store | Transaction, name: str) -> Assistant | None:
    row = store.row(f"SELECT {_COLUMNS} FROM assistant_now WHERE name = $1", [name])  # noqa: S608
    return _assistant(row) if row else None


def _check(assistant: Assistant) -> None:
    if not NAME.fullmatch(assistant.name):
        raise BadRequest(
            f"{assistant.name[:64]!r} cannot be an assistant's name.",
            "Use up to 32 of a-z, 0-9 and -, a letter first.",
        )
    for field, limit in MAX_CHARACTERS.items():
        held = len(getattr(assistant, field))
        if held > limit:
            raise BadRequest(f"The {field} has {held:,} characters; the limit is {limit:,}.", "Shorten it.")
    if len(assistant.examples) > MAX_EXAMPLES or any(len(e) > MAX_EXAMPLE for e in assistant.examples):
        raise BadRequest(
            f"An assistant has at most {MAX_EXAMPLES} examples of {MAX_EXAMPLE:,} characters each.",
            "Give fewer or shorter ones.",
        )


def _row(assistant: Assistant, principal: str) -> dict[str, Any]:
    return {**asdict(assistant), "principal": principal, "ended": False}


def _assistant(row: dict[str, Any]) -> Assistant:
    return Assistant(**{**row, "examples": tuple(row["examples"] or ()), "notice": row["notice"] or ""})


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no assistant {name[:64]}.", "Choose one of those listed.")
