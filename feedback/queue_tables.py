"""What is kept beside the projection, so that no page of the queue reads all of it.

`exchange_state_counts` has how many exchanges stand how: each change of the projection adds rows to it that
are summed when it is read, and folded into few now and then. `exchange_state_begun` has what reviewers have
said something of in a round that is open. Both follow from `exchange_state`. Holds SQL text only.

Trail: feedback/exchange_state.py -> here -> feedback/queue.py
"""

COUNTS, BEGUN = "exchange_state_counts", "exchange_state_begun"
TABLES = (
    f"""CREATE TABLE {COUNTS} (assistant VARCHAR, setter VARCHAR, state VARCHAR, kept BIGINT, shown BIGINT,
        fresh BIGINT)""",
    f"""CREATE TABLE {BEGUN} (exchange_id UUID, seq BIGINT, rank BIGINT, owner VARCHAR, assistant VARCHAR,
        setter VARCHAR, said_at TIMESTAMP, disputed BOOLEAN, judged_by VARCHAR[], skipped_by VARCHAR[])""",
)

_GROUP = "assistant, setter, state"
_SUMMED = f"""SELECT {_GROUP}, sum(kept)::BIGINT AS kept, sum(shown)::BIGINT AS shown,
    sum(fresh)::BIGINT AS fresh FROM {COUNTS} GROUP BY ALL HAVING sum(kept) <> 0"""  # noqa: S608
_THESE = "WHERE exchange_id IN (SELECT unnest($1::UUID[]))"
FOLD = (
    f"CREATE OR REPLACE TEMP TABLE folded AS {_SUMMED}",
    f"DELETE FROM {COUNTS}",  # noqa: S608
    f"INSERT INTO {COUNTS} FROM folded",
)
"""The statements that make the rows of each group one."""


def counted(source: str, sign: str = "") -> str:
    """The query for what rows like the projection's add to the counts; with a `-`, what their end takes."""
    return f"""SELECT {_GROUP}, {sign}count(*) AS kept, {sign}count(*) FILTER (reviewable) AS shown,
        {sign}count(rank) FILTER (said_at IS NULL) AS fresh FROM {source} WHERE training GROUP BY ALL"""  # noqa: S608


def begun(source: str) -> str:
    """The query for what of such rows is begun."""
    return f"""SELECT exchange_id, seq, rank, owner, assistant, setter, said_at, disputed,
        judged_by, skipped_by FROM {source} WHERE said_at IS NOT NULL AND rank IS NOT NULL"""  # noqa: S608


def leave() -> tuple[str, ...]:
    """The statements that take the exchanges $1 out, before they leave the projection."""
    gone = f"(SELECT * FROM exchange_state {_THESE})"  # noqa: S608
    return f"INSERT INTO {COUNTS} {counted(gone, '-')}", f"DELETE FROM {BEGUN} {_THESE}"  # noqa: S608


def enter(source: str) -> tuple[str, ...]:
    """The statements that add these rows, which enter the projection."""
    return f"INSERT INTO {COUNTS} {counted(source)}", f"INSERT INTO {BEGUN} {begun(source)}"


def rebuild() -> tuple[str, ...]:
    """The statements that make both anew from the whole projection."""
    return f"DROP TABLE {COUNTS}", f"DROP TABLE {BEGUN}", *TABLES, *enter("exchange_state")


def difference() -> tuple[str, ...]:
    """Queries for the rows in which these tables and the projection disagree."""
    pairs = ((_SUMMED, counted("exchange_state")), (f"FROM {BEGUN}", begun("exchange_state")))
    return tuple(
        f"""SELECT count(*) AS rows FROM (
            (({held}) EXCEPT ALL ({true})) UNION ALL (({true}) EXCEPT ALL ({held})))"""  # noqa: S608
        for held, true in pairs
    )


def computed() -> str:
    """Both as further members of a WITH that has an `exchange_state`."""
    return f"{COUNTS} AS ({counted('exchange_state')}), {BEGUN} AS ({begun('exchange_state')})"
