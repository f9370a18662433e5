"""Where the store keeps people's words: which columns an erasure empties, and which it may leave.

`WORDS` are emptied row by row, `RUN_WORDS` are records of a run that quote what it judged. Every other
text column is in `FACTS`, with names, ids, states and what operators wrote; a test fails for a column
that is in neither, so that no table added later can keep words behind an erasure's back.

Trail: feedback/erasure.py -> here -> feedback/store.py
"""

from collections.abc import Iterator, Sequence
from typing import Any

from feedback.store import Store
from feedback.transaction import Transaction

WORDS: dict[str, tuple[str, dict[str, str]]] = {
    "exchanges": ("id", {"context": "[]", "instruction": "", "sampling": "{}"}),
    "answers": ("exchange_id", {"response": "", "error": ""}),
    "ratings": ("exchange_id", {"comment": "", "correction": ""}),
    "reviews": ("exchange_id", {"response": "", "reason": ""}),
    "opinions": ("exchange_id", {"response": "", "reason": ""}),
    "drafts": ("exchange_id", {"response": ""}),
    "golds": ("exchange_id", {"note": ""}),
}
"""For each table the column that names the exchange, and what each column of words is left with."""

TITLES = {"conversations": "id", "titles": "conversation_id"}
"""Tables with the `title` of a conversation, which holds a person's words, and the column that names it."""

RUN_WORDS: dict[str, str] = {"evaluations": "scorecard"}
"""For each table, the JSON of a run that quotes instructions and answers."""

FACTS: dict[str, frozenset[str]] = {
    "accounts": frozenset({"name", "change", "role", "password_hash"}),
    "sessions": frozenset({"token_digest", "account"}),
    "identities": frozenset({"issuer", "subject", "account"}),
    "invitations": frozenset({"token_digest", "account", "role"}),
    "invitation_ends": frozenset({"account"}),
    "api_keys": frozenset({"secret_digest", "account", "label", "role", "scopes"}),
    "assistants": frozenset({"name", "title", "system_prompt", "domain", "greeting", "examples", "notice"}),
    "conversations": frozenset({"owner", "assistant"}),
    "exchanges": frozenset({"assistant", "version", "source"}),
    "answers": frozenset({"finish_reason", "version"}),
    "ratings": frozenset({"rating", "reasons"}),
    "reviews": frozenset({"verdict", "author"}),
    "opinions": frozenset({"verdict", "author"}),
    "golds": frozenset({"expected"}),
    "signals": frozenset({"kind"}),
    "preferences": frozenset({"assistant"}),
    "comparisons": frozenset({"assistant", "first_version", "second_version"}),
    "choices": frozenset({"choice"}),
    "snapshots": frozenset({"assistant", "digest", "counts"}),
    "snapshot_rows": frozenset({"side", "group_key"}),
    "snapshot_left_out": frozenset({"reason", "detail"}),
    "group_sides": frozenset({"assistant", "group_key", "side"}),
    "runs": frozenset({"assistant", "state", "step", "version", "folder", "reason", "detail"}),
    "evaluations": frozenset({"version", "incumbent", "verdict", "reasons"}),
    "versions": frozenset({"version", "assistant", "digest", "folder", "run_id"}),
    "rollouts": frozenset({"assistant", "version", "state", "reason", "run_id", "evidence"}),
    "orders": frozenset({"assistant", "kind", "version", "reason"}),
    "decisions": frozenset({"assistant", "reason"}),
    "erasures": frozenset({"scope", "target", "policy", "removed"}),
    "erased_versions": frozenset({"assistant", "version"}),
    "erasure_ends": frozenset({"receipt"}),
    "proposals": frozenset({"proposer"}),
    "acts": frozenset({"kind", "subject", "detail"}),
    "exchange_state": frozenset(
        {
            *("assistant", "version", "owner", "source", "finish_reason", "rating"),
            *("state", "verdict", "reviewed_by", "setter", "judged_by", "skipped_by"),
        }
    ),
    "exchange_state_counts": frozenset({"assistant", "setter", "state"}),
    "exchange_state_begun": frozenset({"owner", "assistant", "setter", "judged_by", "skipped_by"}),
    "hone_schema": frozenset(),
}
"""Columns of text that hold no words of a chat; `principal` is one everywhere."""

_TEXT = "data_type IN ('VARCHAR', 'JSON', 'VARCHAR[]')"


def columns(store: Store) -> dict[str, dict[str, str]]:
    """Every column that can hold text with its type, by table."""
    found: dict[str, dict[str, str]] = {}
    # The search index, which is attached beside the store, holds no text.
    own = "database_name = current_database()"
    asked = f"""SELECT table_name, column_name, data_type FROM duckdb_columns()
        WHERE NOT internal AND {own} AND {_TEXT}"""  # noqa: S608
    found_tables = store.rows(f"SELECT table_name FROM duckdb_tables() WHERE {own}")  # noqa: S608
    tables = {row["table_name"] for row in found_tables}
    for row in store.rows(asked):
        if row["table_name"] in tables:
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
    return found


def said(table: str) -> frozenset[str]:
    """The columns of a table that hold people's words."""
    found = {*WORDS.get(table, ("", {}))[1], *([RUN_WORDS[table]] if table in RUN_WORDS else [])}
    return frozenset(found | {"title"} if table in TITLES else found)


def schema(store: Store) -> list[str]:
    """The names of tables and columns, which stand in the store's file too."""
    tables = store.rows("SELECT sql FROM duckdb_tables() WHERE database_name = current_database()")
    return [str(row["sql"]) for row in tables]


def unclassified(store: Store) -> set[str]:
    """`table.column` of text that nobody has said of whether it holds words."""
    known = {table: {*FACTS.get(table, ()), "principal"} for table in columns(store)}
    for table, (_, emptied) in WORDS.items():
        known[table] |= set(emptied)
    for table in TITLES:
        known[table].add("title")
    for table, column in RUN_WORDS.items():
        known[table].add(column)
    return {f"{t}.{c}" for t, found in columns(store).items() for c in found.keys() - known.get(t, set())}


def gather(store: Store | Transaction, exchanges: Sequence[str], conversations: Sequence[str]) -> list[str]:
    """Every text that an erasure of these takes, each once."""
    found: dict[str, None] = {}
    for table, (key, emptied) in WORDS.items():
        asked = f"SELECT {', '.join(emptied)} FROM {table} WHERE {key} IN (SELECT unnest($1::UUID[]))"  # noqa: S608
        for row in store.rows(asked, [list(exchanges)]):
            for column in emptied:
                found.update(dict.fromkeys(_texts(row[column])))
    for table, key in TITLES.items():
        asked = f"SELECT title FROM {table} WHERE {key} IN (SELECT unnest($1::UUID[]))"  # noqa: S608
        found.update(dict.fromkeys(row["title"] for row in store.rows(asked, [list(conversations)])))
    return [text for text in found if text and text.strip()]


def empty(transaction: Transaction, exchanges: Sequence[str], conversations: Sequence[str]) -> None:
    """Take the words out of these rows; a value that was never there stays absent."""
    for table, (key, emptied) in WORDS.items():
        for column, left in emptied.items():
            transaction.rows(
                f"""UPDATE {table} SET {column} = '{left}' WHERE {key} IN (SELECT unnest($1::UUID[]))
                AND {column} IS NOT NULL AND {column} <> '{left}'""",  # noqa: S608
                [list(exchanges)],
            )
    for table, key in TITLES.items():
        transaction.rows(
            f"UPDATE {table} SET title = '' WHERE title <> '' AND {key} IN (SELECT unnest($1::UUID[]))",  # noqa: S608
            [list(conversations)],
        )


def left(store: Store | Transaction, exchanges: Sequence[str], conversations: Sequence[str]) -> int:
    """How many of these rows still hold words."""
    return sum(1 for _ in gather(store, exchanges, conversations))


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value: of messages their contents, of other JSON every string."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name != "role":
                yield from _texts(item)
