"""The tables of the store: numbered migrations, never edited once released, and what defines the projection.

Events are rows that are only ever added; `seq` is their order of arrival, so that the newest wins even
when the clock steps back. `exchange_state` is the projection that pages choose ids from: `truth` computes
it from the events, for some exchanges after a write and for all in a rebuild, so the two are equal. It holds
the keys of the events that count, because a text is found by its key in a millisecond and by anything else
in hundreds. `projected` says up to which event it has been made. Holds SQL text only; knows no connection.

To change the tables: append a migration. To change the projection: change `truth`, and append a migration
that drops `exchange_state` and creates it as `EXCHANGE_STATE` then is; the store fills it. What an older
migration created stays as it was.
"""

from typing import Any

ALWAYS = 'id UUID PRIMARY KEY, seq BIGINT NOT NULL, "at" TIMESTAMP NOT NULL, principal VARCHAR NOT NULL'

# Column lists after the ones that every event has.
_FIRST = {
    "accounts": "name VARCHAR NOT NULL, change VARCHAR NOT NULL, role VARCHAR, password_hash VARCHAR",
    "sessions": "token_digest VARCHAR NOT NULL, account VARCHAR NOT NULL, expires_at TIMESTAMP NOT NULL",
    "session_ends": "session_id UUID NOT NULL",
    "assistants": """name VARCHAR NOT NULL, title VARCHAR, system_prompt VARCHAR, domain VARCHAR,
        greeting VARCHAR, examples VARCHAR[], ended BOOLEAN""",
    "conversations": "owner VARCHAR NOT NULL, assistant VARCHAR NOT NULL, title VARCHAR",
    "exchanges": """conversation_id UUID NOT NULL, assistant VARCHAR NOT NULL, version VARCHAR NOT NULL,
        context JSON NOT NULL, instruction VARCHAR NOT NULL, sampling JSON, source VARCHAR NOT NULL,
        replaces UUID""",
    "answers": """exchange_id UUID NOT NULL, response VARCHAR NOT NULL, finish_reason VARCHAR NOT NULL,
        version VARCHAR NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, first_token_ms DOUBLE,
        total_ms DOUBLE, error VARCHAR""",
    "ratings": """exchange_id UUID NOT NULL, rating VARCHAR, reasons VARCHAR[], comment VARCHAR,
        correction VARCHAR""",
    "reviews": """exchange_id UUID NOT NULL, verdict VARCHAR NOT NULL, response VARCHAR, author VARCHAR,
        reason VARCHAR, own BOOLEAN NOT NULL""",
    "consents": "conversation_id UUID NOT NULL, training BOOLEAN NOT NULL",
    "snapshots": "run_id UUID NOT NULL, assistant VARCHAR NOT NULL, digest VARCHAR NOT NULL, counts JSON",
    "snapshot_rows": """snapshot_id UUID NOT NULL, exchange_id UUID NOT NULL, review_id UUID NOT NULL,
        side VARCHAR NOT NULL, group_key VARCHAR NOT NULL""",
    "group_sides": "assistant VARCHAR NOT NULL, group_key VARCHAR NOT NULL, side VARCHAR NOT NULL",
    "runs": """run_id UUID NOT NULL, assistant VARCHAR NOT NULL, number INTEGER NOT NULL,
        state VARCHAR NOT NULL, step VARCHAR, version VARCHAR, folder VARCHAR, reason VARCHAR, detail JSON""",
    "evaluations": """run_id UUID NOT NULL, version VARCHAR NOT NULL, incumbent VARCHAR, scorecard JSON,
        verdict VARCHAR, reasons VARCHAR[]""",
    "versions": """version VARCHAR NOT NULL, assistant VARCHAR NOT NULL, number INTEGER NOT NULL,
        digest VARCHAR, folder VARCHAR, run_id VARCHAR""",
    "rollouts": """assistant VARCHAR NOT NULL, version VARCHAR NOT NULL, state VARCHAR NOT NULL,
        reason VARCHAR, run_id VARCHAR""",
    "decisions": "assistant VARCHAR NOT NULL, due BOOLEAN NOT NULL, reason VARCHAR NOT NULL",
}

_FIRST_EXCHANGE_STATE = """CREATE TABLE exchange_state (
    exchange_id UUID PRIMARY KEY, conversation_id UUID, assistant VARCHAR, version VARCHAR, owner VARCHAR,
    "at" TIMESTAMP, source VARCHAR, replaces UUID, finish_reason VARCHAR, rating VARCHAR,
    has_correction BOOLEAN, rated_at TIMESTAMP, worth TINYINT, state VARCHAR, verdict VARCHAR,
    review_id UUID, reviewed_by VARCHAR, reviewed_at TIMESTAMP, training BOOLEAN)"""

# `worth` orders the queue: corrections, thumbs down with reasons, thumbs down, thumbs up, the rest.
# `seq` is the exchange's own, `rated_seq` its newest rating's. No key: where the disk refuses a commit that
# deletes a row and inserts its key again, DuckDB 1.5.6 ends the process while it takes the key back.
EXCHANGE_STATE = """CREATE TABLE exchange_state (
    exchange_id UUID NOT NULL, seq BIGINT, conversation_id UUID, assistant VARCHAR, version VARCHAR,
    owner VARCHAR, "at" TIMESTAMP, source VARCHAR, replaces UUID, answer_id UUID, finish_reason VARCHAR,
    rating_id UUID, rated_seq BIGINT, rating VARCHAR, has_correction BOOLEAN, rated_at TIMESTAMP,
    worth TINYINT, state VARCHAR, verdict VARCHAR, review_id UUID, reviewed_by VARCHAR,
    reviewed_at TIMESTAMP, training BOOLEAN)"""

_ASSISTANT_NOW = """CREATE VIEW assistant_now AS
    SELECT name, title, system_prompt, domain, greeting, examples,
        min(a.at) OVER (PARTITION BY name) AS made_at, a.at AS changed_at
    FROM assistants a
    QUALIFY row_number() OVER (PARTITION BY name ORDER BY seq DESC) = 1 AND NOT coalesce(ended, false)"""

# What curation left out of a snapshot, and which of two exchanges was found better: no words.
_CURATION = (
    f"""CREATE TABLE snapshot_left_out ({ALWAYS}, snapshot_id UUID NOT NULL, exchange_id UUID NOT NULL,
        review_id UUID NOT NULL, reason VARCHAR NOT NULL, detail VARCHAR)""",
    f"""CREATE TABLE preferences ({ALWAYS}, assistant VARCHAR NOT NULL, chosen UUID NOT NULL,
        rejected UUID NOT NULL)""",
)
# What each reviewer thinks (a review is what they settled), who looks at what, items that measure reviewers,
# chats that their author shows unrated, what people did instead of rating, unfinished edits.
_REVIEWING_TABLES = {
    "opinions": """exchange_id UUID NOT NULL, round UUID NOT NULL, verdict VARCHAR NOT NULL,
        response VARCHAR, author VARCHAR, reason VARCHAR, blind BOOLEAN NOT NULL""",
    "claims": "claim_id UUID NOT NULL, exchange_id UUID NOT NULL, until TIMESTAMP NOT NULL",
    "golds": "exchange_id UUID NOT NULL, expected VARCHAR NOT NULL, note VARCHAR, retired BOOLEAN NOT NULL",
    "shares": "conversation_id UUID NOT NULL, review BOOLEAN NOT NULL",
    "signals": "exchange_id UUID NOT NULL, kind VARCHAR NOT NULL",
    "drafts": "exchange_id UUID NOT NULL, response VARCHAR NOT NULL",
}
_REVIEWING = tuple(
    f"CREATE TABLE {table} ({ALWAYS}, {columns})" for table, columns in _REVIEWING_TABLES.items()
)
# The share and the evidence of each stage of a rollout, and what operators ordered to stand.
_STAGES_AND_ORDERS = (
    "ALTER TABLE rollouts ADD COLUMN share DOUBLE",
    "ALTER TABLE rollouts ADD COLUMN evidence JSON",
    f"""CREATE TABLE orders ({ALWAYS}, assistant VARCHAR NOT NULL, kind VARCHAR NOT NULL,
        standing BOOLEAN NOT NULL, version VARCHAR NOT NULL, reason VARCHAR NOT NULL)""",
)

# Which words left the store, who asked for it, and what it meant for the versions that learnt from them;
# and which exchanges are proposed answers to which.
_ERASURE_TABLES = {
    "erasures": """scope VARCHAR NOT NULL, target VARCHAR NOT NULL, account BOOLEAN NOT NULL,
        policy VARCHAR NOT NULL, removed JSON NOT NULL""",
    "erased_conversations": "erasure_id UUID NOT NULL, conversation_id UUID NOT NULL",
    "erased_exchanges": "erasure_id UUID NOT NULL, exchange_id UUID NOT NULL",
    "erased_versions": """erasure_id UUID NOT NULL, assistant VARCHAR NOT NULL, version VARCHAR NOT NULL,
        learnt INTEGER NOT NULL, judged INTEGER NOT NULL, served BOOLEAN NOT NULL""",
    "erasure_ends": "erasure_id UUID NOT NULL, receipt JSON NOT NULL",
    "proposals": """exchange_id UUID NOT NULL, origin_id UUID NOT NULL, proposer VARCHAR NOT NULL,
        agree INTEGER NOT NULL""",
}
_ERASURE = tuple(f"CREATE TABLE {table} ({ALWAYS}, {columns})" for table, columns in _ERASURE_TABLES.items())

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        *(f"CREATE TABLE {table} ({ALWAYS}, {columns})" for table, columns in _FIRST.items()),
        _FIRST_EXCHANGE_STATE,
        _ASSISTANT_NOW,
    ),
    (
        "CREATE TABLE projected (seq BIGINT NOT NULL)",
        "INSERT INTO projected VALUES (0)",
        f"""CREATE TABLE retentions ({ALWAYS}, days INTEGER NOT NULL, exchanges INTEGER NOT NULL,
            conversations INTEGER NOT NULL)""",
        "DROP TABLE exchange_state",
        EXCHANGE_STATE,
    ),
    _CURATION,
    _REVIEWING,
    _STAGES_AND_ORDERS,
    _ERASURE,
    ("DROP TABLE exchange_state", EXCHANGE_STATE),
)
"""Migration n takes a file from schema n to schema n + 1."""

SEED: dict[str, list[dict[str, Any]]] = {
    "assistants": [
        {
            "id": "00000000-0000-7000-8000-000000000001",
            "principal": "hone",
            "name": "general",
            "title": "General",
            "system_prompt": "You are a helpful assistant.",
            "domain": "general",
            "greeting": "",
            "examples": [],
            "ended": False,
        }
    ]
}
"""Rows that every store has."""

TOUCHES = {
    "exchanges": "id",
    "answers": "exchange_id",
    "ratings": "exchange_id",
    "reviews": "exchange_id",
    "erased_exchanges": "exchange_id",
}
"""Tables whose rows change the projection of one exchange, and the column that names it."""

TOUCHES_CONVERSATION = {"conversations": "id", "consents": "conversation_id"}
"""Tables whose rows change the projection of a whole conversation."""

HELD = "SELECT id FROM exchanges WHERE conversation_id IN (SELECT unnest($1::UUID[]))"


MARK = "UPDATE projected SET seq = greatest(seq, $1)"


def refresh() -> tuple[str, ...]:
    """The statements that recompute the projection of the exchanges `$1`.

    Delete and insert, because INSERT OR REPLACE of a join takes five times as long at a million rows.
    """
    return (
        f"CREATE OR REPLACE TEMP TABLE fresh AS {truth('$1::UUID[]')}",
        "DELETE FROM exchange_state WHERE exchange_id IN (SELECT unnest($1::UUID[]))",
        "INSERT INTO exchange_state SELECT * FROM fresh",
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
    )


def truth(only: str = "") -> str:
    """The query that defines `exchange_state`.

    `only` is an SQL expression for a list of exchange ids, repeated at every table because DuckDB pushes
    no such filter below a GROUP BY (a million rows: 0.5 s through a view, 0.02 s so).
    """
    these = f"WHERE exchange_id IN (SELECT unnest({only}))" if only else ""
    those = f"WHERE id IN (SELECT unnest({only}))" if only else ""
    return f"""
    WITH asked AS (SELECT * FROM exchanges {those}),
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
    owned AS (SELECT id, owner FROM conversations WHERE id IN (SELECT conversation_id FROM asked)),
    consented AS (SELECT conversation_id, arg_max(training, seq) AS training
        FROM consents WHERE conversation_id IN (SELECT conversation_id FROM asked)
        GROUP BY conversation_id),
    erased AS (SELECT DISTINCT exchange_id FROM erased_exchanges {these})
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
        coalesce(consented.training, true) AS training
    FROM asked
    LEFT JOIN answered ON answered.exchange_id = asked.id
    LEFT JOIN owned ON owned.id = asked.conversation_id
    LEFT JOIN rated ON rated.exchange_id = asked.id
    LEFT JOIN judged ON judged.exchange_id = asked.id
    LEFT JOIN seen ON seen.exchange_id = asked.id
    LEFT JOIN erased ON erased.exchange_id = asked.id
    LEFT JOIN consented ON consented.conversation_id = asked.conversation_id"""  # noqa: S608


def without_projection(sql: str) -> str:
    """The query `sql` with what `exchange_state` should be in its place."""
    rest = sql.lstrip()
    named = f"WITH exchange_state AS ({truth()})"
    return f"{named}, {rest[5:]}" if rest[:5].upper() == "WITH " else f"{named} {rest}"


def difference() -> str:
    """A query that counts the rows in which projection and events disagree."""
    return f"""
    SELECT count(*) AS rows FROM (
        ((SELECT * FROM exchange_state) EXCEPT ALL (SELECT * FROM ({truth()})))
        UNION ALL
        ((SELECT * FROM ({truth()})) EXCEPT ALL (SELECT * FROM exchange_state)))"""  # noqa: S608
