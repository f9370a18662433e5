"""The tables of the search index and their SQL: which word is in which event.

A posting is a digest of a word and the `seq` of the exchange it is in, or of the rating (`rated`) that says
it, so that words of a rating that no longer holds find nothing. New postings go to `tail`; once that is long,
it becomes one more sorted run of `postings`, in which the runs' minima and maxima let a search skip nearly
everything. Knows SQL and a cursor.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

NAME = "words"
RUN = 2_000_000
"""Postings in the tail that become a run."""

_SCRIPTS = r"[\p{Hangul}\p{Han}\p{Hiragana}\p{Katakana}]"
_FORM = 2
"""Counts up whenever words are told apart otherwise, so that an index of the old form is made anew."""

MADE = f"SELECT seq FROM {NAME}.made"  # noqa: S608
_EVERY = f"CREATE VIEW IF NOT EXISTS {NAME}.every AS FROM {NAME}.postings UNION ALL FROM {NAME}.tail"
_ERASED = "(SELECT exchange_id FROM erased_exchanges)"
_SPEAKING = f"""SELECT seq FROM exchanges WHERE id NOT IN {_ERASED}
UNION ALL SELECT seq FROM ratings WHERE exchange_id NOT IN {_ERASED}"""  # noqa: S608
"""SQL for the events that a posting may name: those that are there, and whose words were not erased."""


def pieces(text: str, *, asked: bool = False) -> str:
    """SQL for the list of words of the SQL expression `text`; when `asked`, only those a search needs."""
    apart = rf"regexp_replace(lower(nfc_normalize({text})), '({_SCRIPTS}+)', ' \1 ', 'g')"
    words = rf"regexp_extract_all({apart}, '[\p{{L}}\p{{M}}\p{{N}}]+')"
    pairs = "list_transform(range(1, len(w)), lambda i: substr(w, i, 2))"
    alone = "" if asked else " || string_split(w, '')"
    return f"""flatten(list_transform({words}, lambda w: CASE
        WHEN len(w) > 1 AND regexp_matches(w, '^{_SCRIPTS}') THEN {pairs}{alone} ELSE [w] END))"""


def asked() -> str:
    """The query for the `tokens` of the words $1."""
    return (
        f"""SELECT list_distinct(list_transform({pieces("$1", asked=True)}, lambda w: hash(w))) AS tokens"""
    )


def frequencies(tokens: Sequence[int]) -> str:
    """The query for the `least` number of postings that one of the tokens has."""
    listed = ", ".join(f"({int(token)}::UBIGINT)" for token in tokens)
    return f"""SELECT min(found) AS least FROM (SELECT count(event) AS found
        FROM (VALUES {listed}) t(token) LEFT JOIN {NAME}.every USING (token) GROUP BY token)"""  # noqa: S608


def holds(token: int, after: int = 0) -> str:
    """SQL of an `exchange_state s` whose `seq` is after that: it, or its newest rating, has the word."""
    found = f"SELECT event FROM {NAME}.every WHERE token = {int(token)} AND event > {int(after)}"  # noqa: S608
    return f"(s.seq IN ({found} AND NOT rated) OR s.rated_seq IN ({found} AND rated))"


def prepare(cursor: Any, newest: int) -> bool:
    """Make the tables of an empty file; False if the file is of another form, store or DuckDB."""
    mark = _mark(cursor)
    tables = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = $1", [NAME]
    ).fetchall()
    if tables:
        with suppress(Exception):  # another program's tables
            form, seq = cursor.execute(f"SELECT form, seq FROM {NAME}.made").fetchall()[0]  # noqa: S608
            cursor.execute(_EVERY)
            return bool(form == mark and seq <= newest)
        return False
    for statement in (
        "BEGIN TRANSACTION",
        f"CREATE TABLE {NAME}.postings (token UBIGINT, rated BOOLEAN, event BIGINT)",
        f"CREATE TABLE {NAME}.tail (token UBIGINT, rated BOOLEAN, event BIGINT)",
        f"CREATE TABLE {NAME}.made AS SELECT '{mark}' AS form, 0::BIGINT AS seq",
        _EVERY,
        "COMMIT",
    ):
        cursor.execute(statement)
    return True


def copy(cursor: Any, fresh: str) -> None:
    """Write the postings of what the store still holds words of to the empty database `fresh`.

    The runs keep their order.
    """
    cursor.execute(f"CREATE TABLE {fresh}.made AS FROM {NAME}.made")
    for table in ("postings", "tail"):
        kept = f"SELECT * FROM {NAME}.{table} WHERE event IN ({_SPEAKING})"  # noqa: S608
        cursor.execute(f"CREATE TABLE {fresh}.{table} AS {kept}")


def extend(cursor: Any, newest: int, most: int) -> bool:
    """Index the next events, at most `most`, up to `newest`; False if there are none."""
    made = cursor.execute(MADE).fetchall()[0][0]
    if made >= newest:
        return False
    until = min(newest, made + most)
    cursor.execute("BEGIN TRANSACTION")
    try:
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE heard AS {_heard()}", [made, until])
        heard = cursor.execute("SELECT count(*) FROM heard").fetchall()[0][0]
        place = "postings" if heard >= RUN else "tail"
        cursor.execute(f"INSERT INTO {NAME}.{place} FROM heard")
        cursor.execute(f"UPDATE {NAME}.made SET seq = $1", [until])  # noqa: S608
        cursor.execute("COMMIT")
        if heard >= RUN or _sort_tail(cursor):
            cursor.execute(f"CHECKPOINT {NAME}")
    except BaseException:
        with suppress(Exception):
            cursor.execute("ROLLBACK")
        raise
    return until < newest


def _heard() -> str:
    """The postings of the events after $1 up to $2, sorted."""
    rated = "coalesce(comment, '') || ' ' || coalesce(correction, '')"
    return f"""SELECT DISTINCT hash(word) AS token, rated, event FROM (
        SELECT unnest({pieces("instruction")}) AS word, false AS rated, seq AS event
            FROM exchanges WHERE seq > $1 AND seq <= $2
        UNION ALL SELECT unnest({pieces("a.response")}), false, e.seq
            FROM answers a JOIN exchanges e ON e.id = a.exchange_id WHERE a.seq > $1 AND a.seq <= $2
        UNION ALL SELECT unnest({pieces(rated)}), true, seq FROM ratings WHERE seq > $1 AND seq <= $2
    ) ORDER BY ALL"""  # noqa: S608


def _sort_tail(cursor: Any) -> bool:
    """Make a long tail one more run."""
    if cursor.execute(f"SELECT count(*) FROM {NAME}.tail").fetchall()[0][0] < RUN:  # noqa: S608
        return False
    cursor.execute("BEGIN TRANSACTION")
    cursor.execute(f"INSERT INTO {NAME}.postings FROM {NAME}.tail ORDER BY ALL")
    cursor.execute(f"DELETE FROM {NAME}.tail")  # noqa: S608
    cursor.execute("COMMIT")
    return True


def _mark(cursor: Any) -> str:
    """What an index must have been made of and by: this form of it, this DuckDB's digests, this store."""
    born, version = cursor.execute(
        """SELECT (SELECT epoch_us(min("at")) FROM hone_schema), version()"""
    ).fetchall()[0]
    return f"{_FORM} {version} {born}"
