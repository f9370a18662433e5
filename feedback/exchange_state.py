"""What the projection `exchange_state` is: one row an exchange, of which pages choose what to show.

`truth` computes it from the events, for some exchanges after a write and for all in a rebuild, so the two are
equal. It holds the keys of the events that count, because a text is found by its key in a millisecond and by
anything else in hundreds, and what decides who may review it. Holds SQL text only; knows no connection.
"""

from feedback import queue_tables

# `seq` is the exchange's own, `rated_seq` its newest rating's. `reviewable` is what reviewers may see, but
# for gold items that they set themselves (`setter`). `rank` is its place in the queue, the lowest first,
# where it is in it. `said_at` and what follows are what was said in this round of what is not settled.
# No key: where the disk refuses a commit that deletes a row and inserts its key again, DuckDB 1.5.6 ends the
# process while it takes the key back. Ids are kept as they are, because to unpack a million takes 25 ms.
_ID = "UUID USING COMPRESSION uncompressed"
EXCHANGE_STATE = f"""CREATE TABLE exchange_state (
    exchange_id {_ID} NOT NULL, seq BIGINT, conversation_id {_ID}, assistant VARCHAR, version VARCHAR,
    owner VARCHAR, "at" TIMESTAMP, source VARCHAR, replaces UUID, answer_id {_ID}, finish_reason VARCHAR,
    rating_id UUID, rated_seq BIGINT, rating VARCHAR, has_correction BOOLEAN, rated_at TIMESTAMP,
    worth TINYINT, state VARCHAR, verdict VARCHAR, review_id UUID, reviewed_by VARCHAR,
    reviewed_at TIMESTAMP, training BOOLEAN, reviewable BOOLEAN, setter VARCHAR, rank BIGINT,
    said_at TIMESTAMP, disputed BOOLEAN, judged_by VARCHAR[], skipped_by VARCHAR[],
    opinions UUID[])"""

TOUCHES = {
    **dict.fromkeys(
        ("answers", "ratings", "reviews", "opinions", "golds", "proposals", "erased_exchanges"),
        ("exchange", "exchange_id"),
    ),
    "exchanges": ("exchange", "id"),
    **dict.fromkeys(("consents", "shares"), ("conversation", "conversation_id")),
    "conversations": ("conversation", "id"),
    "accounts": ("reviewer", "name"),
}
"""Tables whose rows change the projection: of one exchange, of all in a conversation or of all that a
reviewer said something of; and the column that names it."""

TOUCHED = {
    "conversation": "SELECT id FROM exchanges WHERE conversation_id IN (SELECT unnest($1::UUID[]))",
    "reviewer": "SELECT DISTINCT exchange_id FROM opinions WHERE principal IN (SELECT unnest($1::VARCHAR[]))",
}
"""SQL for the exchanges of such conversations, and of such reviewers."""

# Corrections, thumbs down with reasons, thumbs down, thumbs up, the rest; the oldest first. In one number,
# so that the best are found without a look at most of the others: the digits behind `worth` hold any year.
_CLASS = 10**16
UNCLEAR = 2 * _CLASS
"""Ranks below this are of corrections and of thumbs down with reasons."""
RANK = f"(4 - worth) * {_CLASS} + coalesce(epoch_us(rated_at), {9 * 10**15})"

GONE = """(SELECT name FROM accounts GROUP BY name HAVING bool_or(change = 'erased')
    OR arg_max(change, seq) FILTER (WHERE change IN ('suspended', 'restored')) = 'suspended'
    OR arg_max(role, seq) FILTER (WHERE role IS NOT NULL) = 'user')"""
"""SQL for those whose opinions count in no open round: they may not review, or not any more."""

PROPOSED = """SELECT exchange_id, origin_id FROM proposals
WHERE exchange_id IN (SELECT unnest($1::UUID[])) OR origin_id IN (SELECT unnest($1::UUID[]))"""
"""Proposals among these and of these: one is shown only while its question is, so both are computed."""

MARK = "UPDATE projected SET seq = greatest(seq, $1)"


def refresh() -> tuple[str, ...]:
    """The statements that recompute the projection of the exchanges `$1`, questions of proposals included.

    Delete and insert, because INSERT OR REPLACE of a join takes five times as long at a million rows.
    """
    return (
        f"CREATE OR REPLACE TEMP TABLE fresh AS {truth('$1::UUID[]')}",
        *queue_tables.leave(),
        "DELETE FROM exchange_state WHERE exchange_id IN (SELECT unnest($1::UUID[]))",
        "INSERT INTO exchange_state SELECT * FROM fresh",
        *queue_tables.enter("fresh"),
    )


def rebuild() -> tuple[str, ...]:
    """The statements that compute all of the projection.

    Not DELETE: at a million rows that and the new rows' keys take minutes, this seconds. In the order of
    arrival, so that newest and oldest lie apart and a search by key or time skips most of it.
    """
    return (
        "DROP TABLE exchange_state",
        EXCHANGE_STATE,
        f"INSERT INTO exchange_state SELECT * FROM ({truth()}) ORDER BY seq",  # noqa: S608
        *queue_tables.rebuild(),
    )


def truth(only: str = "") -> str:
    """The query that defines `exchange_state`.

    `only` is an SQL expression for a list of exchange ids, repeated at every table because DuckDB pushes
    no such filter below a GROUP BY (a million rows: 0.5 s through a view, 0.02 s so).
    """
    return f"""
    WITH {_events(only)},
    stood AS ({_STOOD}),
    withdrawn AS (SELECT proposed.exchange_id
        FROM proposed LEFT JOIN stood origin ON origin.exchange_id = proposed.origin_id
        WHERE NOT coalesce(origin.shown, false))
    SELECT stood.* EXCLUDE (shown, retired, setter, said_at, disputed, judged_by, skipped_by,
            opinions),
        training AND shown AND state <> 'erased' AND NOT retired
            AND withdrawn.exchange_id IS NULL AS reviewable,
        setter,
        CASE WHEN reviewable AND (state = 'pending' OR state = 'unrated' AND finish_reason IS NOT NULL)
            THEN {RANK} END AS rank,
        said_at, disputed, judged_by, skipped_by, opinions
    FROM stood LEFT JOIN withdrawn ON withdrawn.exchange_id = stood.exchange_id"""  # noqa: S608


def _events(only: str) -> str:
    """What was said of each exchange and of its conversation."""
    these = f"WHERE exchange_id IN (SELECT unnest({only}))" if only else ""
    those = f"WHERE id IN (SELECT unnest({only}))" if only else ""
    return f"""
    asked AS (SELECT id, seq, "at", principal, conversation_id, assistant, version, source, replaces
        FROM exchanges {those}),
    answered AS (SELECT exchange_id, arg_min(id, seq) AS id, arg_min(version, seq) AS version,
            arg_min(finish_reason, seq) AS finish_reason FROM answers {these} GROUP BY exchange_id),
    said AS (SELECT exchange_id, id, seq, "at", rating, coalesce(correction, '') AS correction,
            coalesce(len(reasons), 0) > 0 AS has_reasons FROM ratings {these}),
    rated AS (SELECT exchange_id, arg_max(said, seq) AS last FROM said GROUP BY exchange_id),
    judged AS (SELECT exchange_id, max(seq) AS seq,
            arg_max(id, seq) AS id, arg_max(verdict, seq) AS verdict,
            arg_max(principal, seq) AS principal, arg_max("at", seq) AS "at"
        FROM reviews {these} GROUP BY exchange_id),
    seen AS (SELECT judged.exchange_id, arg_max(said.correction, said.seq) AS correction
        FROM judged JOIN said ON said.exchange_id = judged.exchange_id AND said.seq < judged.seq
        GROUP BY judged.exchange_id),
    heard AS (SELECT exchange_id, round, principal, max("at") AS "at", max(seq) AS seq,
            arg_max(id, seq) AS id, arg_max(
            CASE WHEN verdict IN ('reject', 'skip') THEN verdict
                ELSE 'approve ' || coalesce(response, '') END, seq) AS stance
        FROM (SELECT * FROM opinions {these}) WHERE principal NOT IN {GONE}
        GROUP BY exchange_id, round, principal),
    voiced AS (SELECT exchange_id, round, max("at") AS "at",
            count(DISTINCT stance) FILTER (stance <> 'skip') > 1 AS disputed,
            list(principal ORDER BY principal) FILTER (stance <> 'skip') AS judged_by,
            list(principal ORDER BY principal) FILTER (stance = 'skip') AS skipped_by,
            list(id ORDER BY seq) AS opinions
        FROM heard GROUP BY exchange_id, round),
    golden AS (SELECT exchange_id, arg_min(principal, seq) AS setter, arg_max(retired, seq) AS retired
        FROM golds {these} GROUP BY exchange_id),
    owned AS (SELECT id, owner FROM conversations WHERE id IN (SELECT conversation_id FROM asked)),
    consented AS (SELECT conversation_id, arg_max(training, seq) AS training
        FROM consents WHERE conversation_id IN (SELECT conversation_id FROM asked)
        GROUP BY conversation_id),
    shared AS (SELECT conversation_id, arg_max(review, seq) AS review
        FROM shares WHERE conversation_id IN (SELECT conversation_id FROM asked)
        GROUP BY conversation_id),
    erased AS (SELECT DISTINCT exchange_id FROM erased_exchanges {these}),
    proposed AS (SELECT exchange_id, arg_min(origin_id, seq) AS origin_id
        FROM proposals {these} GROUP BY exchange_id)"""  # noqa: S608


# How each stands by what was said of it, whoever looks; `shown` is what is not its author's alone.
_STOOD = """
    SELECT asked.id AS exchange_id, asked.seq, asked.conversation_id, asked.assistant,
        coalesce(answered.version, asked.version) AS version,
        CASE WHEN asked.source = 'import' OR asked.source LIKE 'import:%' OR asked.source LIKE 'comparison:%'
            THEN asked.principal ELSE coalesce(owned.owner, asked.principal) END AS owner,
        asked.at AS "at", asked.source, asked.replaces, answered.id AS answer_id, answered.finish_reason,
        rated.last.id AS rating_id, rated.last.seq AS rated_seq, rated.last.rating AS rating,
        coalesce(rated.last.correction, '') <> '' AS has_correction,
        rated.last.at AS rated_at,
        CASE WHEN coalesce(rated.last.correction, '') <> '' THEN 4
            WHEN rated.last.rating = 'down' AND rated.last.has_reasons THEN 3
            WHEN rated.last.rating = 'down' THEN 2 WHEN rated.last.rating = 'up' THEN 1 ELSE 0 END AS worth,
        CASE
            WHEN erased.exchange_id IS NOT NULL THEN 'erased'
            WHEN judged.verdict <> 'reopen'
                AND coalesce(rated.last.correction, '') = coalesce(seen.correction, '')
                THEN CASE judged.verdict WHEN 'reject' THEN 'rejected' ELSE 'approved' END
            WHEN rated.last.rating IS NOT NULL OR coalesce(rated.last.correction, '') <> ''
                OR asked.source IN ('import', 'demo') OR asked.source LIKE 'import:%'
                OR asked.source LIKE 'proposal:%' THEN 'pending'
            ELSE 'unrated'
        END AS state,
        judged.verdict, judged.id AS review_id, judged.principal AS reviewed_by, judged.at AS reviewed_at,
        coalesce(consented.training, true) AS training,
        state <> 'unrated' OR coalesce(shared.review, false) AS shown,
        coalesce(golden.retired, false) AS retired, golden.setter,
        voiced.at AS said_at, voiced.disputed, voiced.judged_by, voiced.skipped_by,
        voiced.opinions
    FROM asked
    LEFT JOIN answered ON answered.exchange_id = asked.id
    LEFT JOIN owned ON owned.id = asked.conversation_id
    LEFT JOIN rated ON rated.exchange_id = asked.id
    LEFT JOIN judged ON judged.exchange_id = asked.id
    LEFT JOIN seen ON seen.exchange_id = asked.id
    LEFT JOIN voiced ON voiced.exchange_id = asked.id AND voiced.round = coalesce(judged.id, asked.id)
    LEFT JOIN golden ON golden.exchange_id = asked.id
    LEFT JOIN erased ON erased.exchange_id = asked.id
    LEFT JOIN consented ON consented.conversation_id = asked.conversation_id
    LEFT JOIN shared ON shared.conversation_id = asked.conversation_id"""


def without_projection(sql: str) -> str:
    """The query `sql` with what `exchange_state` should be in its place.

    A row's place is then its exchange's, which is as good to find it by.
    """
    rest = sql.lstrip()
    projected = f"exchange_state AS (SELECT *, seq AS rowid FROM ({truth()}))"  # noqa: S608
    named = f"WITH {projected}, {queue_tables.computed()}"
    return f"{named}, {rest[5:]}" if rest[:5].upper() == "WITH " else f"{named} {rest}"


def differences() -> tuple[str, ...]:
    """Queries that each count rows in which the events and what is made of them disagree."""
    whole = f"""
    SELECT count(*) AS rows FROM (
        ((SELECT * FROM exchange_state) EXCEPT ALL (SELECT * FROM ({truth()})))
        UNION ALL
        ((SELECT * FROM ({truth()})) EXCEPT ALL (SELECT * FROM exchange_state)))"""  # noqa: S608
    return whole, *queue_tables.difference()
