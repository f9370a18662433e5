"""The tables of the store as numbered migrations, never edited once released.

Events are rows that are only ever added; `seq` is their order of arrival, so that the newest wins even
when the clock steps back. `projected` says up to which event the projection has been made. Holds SQL text
only; knows no connection.

To change the tables: append a migration. To change the projection: change `exchange_state.py`, and append a
migration that drops `exchange_state`, creates it as `EXCHANGE_STATE` then is, and sets `projected` to 0; the
store fills it, at the next start if this one is killed. Likewise for the tables of `queue_tables.py`. What an
older migration created stays as it was.
"""

from typing import Any

from feedback import queue_tables
from feedback.exchange_state import EXCHANGE_STATE

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

_SECOND_EXCHANGE_STATE = """CREATE TABLE exchange_state (
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

# Who an account is elsewhere; links that let somebody in once; what programs sign in with.
_DOORS_TABLES = {
    "identities": "issuer VARCHAR NOT NULL, subject VARCHAR NOT NULL, account VARCHAR NOT NULL",
    "invitations": """token_digest VARCHAR NOT NULL, account VARCHAR, role VARCHAR,
        expires_at TIMESTAMP NOT NULL""",
    "invitation_ends": "invitation_id UUID NOT NULL, account VARCHAR",
    "api_keys": """secret_digest VARCHAR NOT NULL, account VARCHAR NOT NULL, label VARCHAR NOT NULL,
        role VARCHAR NOT NULL, scopes VARCHAR[] NOT NULL, expires_at TIMESTAMP""",
    "api_key_ends": "key_id UUID NOT NULL",
}
_DOORS = tuple(f"CREATE TABLE {table} ({ALWAYS}, {columns})" for table, columns in _DOORS_TABLES.items())

# Two answers to one instruction, first and second as they were shown, and which one a person chose: no words.
# The versions are said here too, so that what was chosen still counts when an exchange is gone.
_CHOICES = (
    f"""CREATE TABLE comparisons ({ALWAYS}, conversation_id UUID NOT NULL, assistant VARCHAR NOT NULL,
        first UUID NOT NULL, second UUID NOT NULL, first_version VARCHAR NOT NULL,
        second_version VARCHAR NOT NULL)""",
    f"""CREATE TABLE choices ({ALWAYS}, comparison_id UUID NOT NULL, choice VARCHAR NOT NULL,
        stands UUID NOT NULL)""",
)

_TITLES_AND_NOTICES = (
    f"CREATE TABLE titles ({ALWAYS}, conversation_id UUID NOT NULL, title VARCHAR NOT NULL)",
    "ALTER TABLE assistants ADD COLUMN notice VARCHAR",
    "DROP VIEW assistant_now",
    _ASSISTANT_NOW.replace("examples,", "examples, notice,"),
)

# What somebody did that leaves no other event behind, for the audit log.
_ACTS = (
    f"""CREATE TABLE acts ({ALWAYS}, kind VARCHAR NOT NULL, subject VARCHAR NOT NULL,
        detail JSON NOT NULL)""",
)

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
        _SECOND_EXCHANGE_STATE,
    ),
    _CURATION,
    _REVIEWING,
    _STAGES_AND_ORDERS,
    _ERASURE,
    ("DROP TABLE exchange_state", _SECOND_EXCHANGE_STATE),
    ("DROP TABLE exchange_state", EXCHANGE_STATE, "UPDATE projected SET seq = 0"),
    (
        "DROP TABLE exchange_state",
        EXCHANGE_STATE,
        *queue_tables.TABLES,
        "UPDATE projected SET seq = 0",
    ),
    _DOORS,
    _CHOICES,
    _TITLES_AND_NOTICES,
    _ACTS,
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
