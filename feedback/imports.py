"""Pairs, comparisons and thumbs from files into the record, as a stream and as often as one likes.

A bad row is refused with its place and the reason; the others go in. Ids come from content and source, so
that a file that is imported again adds nothing, and one that was interrupted goes on. Of a comparison the
better answer waits for review like any import; the worse is kept beside it and never shown as a lesson.
Knows no HTTP.

Trail: serve/api/data.py -> here -> feedback/files.py, feedback/forms.py, feedback/store.py
"""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid5

from feedback import files, forms
from feedback.assistants import Assistants
from feedback.errors import BadImport, NotAllowed
from feedback.exchanges import answer_id, as_row
from feedback.files import Refused
from feedback.forms import ImportRow
from feedback.records import Assistant, Exchange, Message, Principal, Role, now
from feedback.sides import salted
from feedback.store import Store
from feedback.writer import Transaction

BATCH = 500
TOLD = 100
"""Refusals that a report tells one by one; it counts all."""
SPACE = UUID("b1d1f7a4-52b0-5a3c-8f5e-6f1e3a9c2d77")


@dataclass(slots=True)
class Report:
    """What became of an import's rows: `known` were there already, `refused` holds the first few."""

    imported: int = 0
    known: int = 0
    approved: int = 0
    ratings: int = 0
    comparisons: int = 0
    refusals: int = 0
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, refusal: Refused) -> None:
        self.refusals += 1
        if self.refusals <= TOLD:
            self.refused.append(refusal)

    def as_dict(self) -> dict[str, Any]:
        told = [{"where": refusal.where, "why": refusal.why} for refusal in self.refused]
        counts = ("imported", "known", "approved", "ratings", "comparisons", "refusals")
        return {**{name: getattr(self, name) for name in counts}, "refused": told}


def read(source: Path | str | BinaryIO, *, name: str = "") -> Iterator[ImportRow | Refused]:
    """The rows of a file, of an open file, or of its text, one at a time.

    What kind of file it is shows in its first bytes, or in its `name`; the first row of a known form
    decides the form for all (`feedback/forms.py`).

    Raises:
        BadImport: It cannot be read at all, or holds no row.
    """
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                yield from _rows(file, name or source.name)
        except OSError as fault:
            raise BadImport(f"{source} cannot be read: {fault.strerror}.", "Check the path.") from fault
        return
    yield from _rows(
        io.BytesIO(source.encode(errors="surrogateescape")) if isinstance(source, str) else source, name
    )


def save(
    store: Store,
    principal: Principal,
    assistant: str,
    rows: Iterable[ImportRow | Refused],
    *,
    approve: bool,
    source: str = "import",
    salt: str = "",
) -> Report:
    """Keep the rows batch by batch, for review or approved as they are, and say what became of them.

    A row without a system prompt gets the assistant's, since it will be answered under that. A thumb down
    is never approved. `salt`, the home's own, keeps the ids of conversations from being guessed, so that
    nobody begins one before its rows are here.

    Raises:
        NotAllowed: Not an operator.
        NotFound: There is no such assistant.
    """
    if not principal.role.covers(Role.OPERATOR):
        raise NotAllowed("Only operators may import.", "Ask an admin for the role.")
    taught = Assistants(store).get(assistant)
    events = _Events(taught, principal.name, source, approve, salt)
    report = Report()
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        told = [events.of(row) for row in batch if isinstance(row, ImportRow)]
        for row in batch:
            if isinstance(row, Refused):
                report.refuse(row)
        store.decide(partial(_keep, told=told, report=report))
    return report


@dataclass(frozen=True, slots=True)
class _Told:
    """One row as events; `key` is the id of the event that says whether it is there already."""

    key: tuple[str, str]
    exchange: str
    tables: dict[str, list[dict[str, Any]]]


def _rows(file: BinaryIO, name: str) -> Iterator[ImportRow | Refused]:
    kind = files.kind_of(file.read(4096), name)
    file.seek(0)
    form, found = None, False
    for record in files.read(file, kind):
        found = True
        if isinstance(record, Refused):
            yield record
            continue
        where, told = record
        form = form or forms.form_of(told)
        if form is None:
            yield Refused(where, f"is in no known form; use one of {', '.join(forms.FORMS)}")
            continue
        try:
            yield forms.parse(form, told)
        except ValueError as fault:
            yield Refused(where, str(fault))
    if not found:
        raise BadImport("The file holds no rows.", "Give one JSON object a line.")


def _keep(transaction: Transaction, told: list[_Told], report: Report) -> None:
    """Write what is new; a verdict of somebody's on a row that is there already stays as it is."""
    known = {
        table: _known(transaction, table, [row.key[1] for row in told if row.key[0] == table])
        for table in {row.key[0] for row in told}
    }
    there = _known(transaction, "exchanges", [row.exchange for row in told])
    batch: dict[str, list[dict[str, Any]]] = {}
    for row in told:
        table, identity = row.key
        if identity in known[table]:
            report.known += 1
            continue
        known[table].add(identity)
        report.imported += 1
        for name, rows in row.tables.items():
            if name == "reviews" and row.exchange in there:
                continue
            batch.setdefault(name, []).extend(rows)
            _count(report, name, len(rows))
        there.add(row.exchange)
    transaction.append(batch)


def _count(report: Report, table: str, rows: int) -> None:
    counted = {"reviews": "approved", "ratings": "ratings", "preferences": "comparisons"}.get(table)
    if counted:
        setattr(report, counted, getattr(report, counted) + rows)


def _known(transaction: Transaction, table: str, ids: list[str]) -> set[str]:
    found = transaction.rows(f"SELECT id FROM {table} WHERE id IN (SELECT unnest($1::UUID[]))", [ids])  # noqa: S608
    return {row["id"] for row in found}


class _Events:
    """What an import of one source says, as rows of the store."""

    def __init__(self, assistant: Assistant, principal: str, source: str, approve: bool, salt: str) -> None:
        self._assistant = assistant
        self._principal = principal
        self._source = source
        self._approve = approve
        self._salt = salt

    def of(self, row: ImportRow) -> _Told:
        named = self._source if self._source in ("import", "demo") else f"import:{self._source}"
        exchange = self._exchange(row, row.response, named)
        tables = {"exchanges": [as_row(exchange)], "answers": [self._answer(exchange, row.response)]}
        key = ("exchanges", exchange.id)
        if row.rating:
            rating = self._rating(exchange, row)
            tables["ratings"], key = [rating], ("ratings", rating["id"])
        if row.rejected:
            worse = self._exchange(row, row.rejected, f"comparison:{self._source}")
            tables["exchanges"].append(as_row(worse))
            tables["answers"].append(self._answer(worse, row.rejected))
            preference = self._preference(exchange, worse)
            tables["preferences"], key = [preference], ("preferences", preference["id"])
        if self._approve and row.rating != "down":
            tables["reviews"] = [self._review(exchange, row.response)]
        return _Told(key, exchange.id, tables)

    def _exchange(self, row: ImportRow, response: str, named: str) -> Exchange:
        context = row.messages[:-1]
        told = [self._assistant.name, named, row.conversation, [m.as_dict() for m in row.messages], response]
        identity = uuid5(SPACE, json.dumps(told))
        talk = [self._assistant.name, self._source, row.conversation or told[3]]
        if self._assistant.system_prompt and (not context or context[0].role != "system"):
            context = (Message("system", self._assistant.system_prompt), *context)
        return Exchange(
            id=str(identity),
            at=now(),
            principal=self._principal,
            conversation_id=str(uuid5(SPACE, salted(self._salt, json.dumps(talk)))),
            assistant=self._assistant.name,
            version=self._assistant.base_version,
            context=context,
            instruction=row.messages[-1].content,
            source=named,
        )

    def _answer(self, exchange: Exchange, response: str) -> dict[str, Any]:
        return {
            "id": answer_id(exchange.id),
            "principal": self._principal,
            "exchange_id": exchange.id,
            "response": response,
            "finish_reason": "stop",
            "version": exchange.version,
        }

    def _rating(self, exchange: Exchange, row: ImportRow) -> dict[str, Any]:
        said: dict[str, Any] = {"rating": row.rating, "reasons": [], "comment": row.comment, "correction": ""}
        identity = uuid5(UUID(exchange.id), json.dumps(["rating", row.rating, row.comment]))
        return {"id": str(identity), "principal": self._principal, "exchange_id": exchange.id, **said}

    def _preference(self, chosen: Exchange, rejected: Exchange) -> dict[str, Any]:
        return {
            "id": str(uuid5(UUID(chosen.id), rejected.id)),
            "principal": self._principal,
            "assistant": self._assistant.name,
            "chosen": chosen.id,
            "rejected": rejected.id,
        }

    def _review(self, exchange: Exchange, response: str) -> dict[str, Any]:
        return {
            "id": str(uuid5(UUID(exchange.id), "approve")),
            "principal": self._principal,
            "exchange_id": exchange.id,
            "verdict": "approve",
            "response": response,
            "author": self._principal,
            "reason": "",
            "own": True,
        }
