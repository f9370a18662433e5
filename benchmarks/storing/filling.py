"""A store filled at once with exchanges that look like a year's: texts, ratings, reviews, consents.

Written in bulk, past the writing thread; what the store makes of the events (projection, search) it then
makes itself. Every figure follows from the row's number, so two fillings of one size are alike.
"""

import random
from pathlib import Path

import duckdb

from feedback.store import Store

SENTENCES = 40_000
OWNERS = 5_000
TURNS = 4
"""Exchanges a conversation."""
COMMON, OFTEN, RARE, KOREAN, KOREAN_RARE = "the", "with", "quokka", "기계", "두루미"
"""Words that are asked for: in nearly all texts, in many, in few, and likewise in the Korean ones."""

_SYLLABLES = [
    chr(0xAC00 + 588 * initial + 28 * vowel) for initial in range(19) for vowel in (0, 4, 8, 13, 20)
]


def fill(path: Path, exchanges: int) -> None:
    """Make the file at `path` hold so many exchanges; its projection is made by whoever opens it next."""
    Store(path).close()
    with duckdb.connect(str(path), config={"checkpoint_threshold": "4GB"}) as connection:
        connection.execute("SET enable_progress_bar = false; SET preserve_insertion_order = true")
        connection.execute("CREATE TEMP TABLE sentences AS SELECT unnest($1) AS words", [_sentences()])
        connection.execute("CREATE TEMP TABLE said AS SELECT list(words) AS english FROM sentences")
        for statement in _statements(exchanges):
            connection.execute(statement)
        connection.execute("CHECKPOINT")


def _sentences() -> list[str]:
    drawn = random.Random(20)
    words = ["".join(drawn.choices("etaoinshrdlucmfwypvbgk", k=drawn.randint(3, 9))) for _ in range(20_000)]
    korean = ["".join(drawn.choices(_SYLLABLES, k=drawn.randint(2, 5))) for _ in range(8_000)]
    made = []
    for number in range(SENTENCES):
        foreign = number % 5 == 0
        spoken = korean if foreign else words
        # Zipf's law, nearly: the k-th word about as often as 1/k.
        line = [spoken[min(int(drawn.paretovariate(0.45)) - 1, len(spoken) - 1)] for _ in range(16)]
        line.insert(3, KOREAN if foreign else COMMON)
        if number % 6 == 1:
            line.append(OFTEN)
        if number % 4_000 in (5, 7):
            line.append(KOREAN_RARE if foreign else RARE)
        made.append(" ".join(line) + ".")
    return made


def _sentence(what: str) -> str:
    return f"english[1 + (hash(i * 31 + {what}) % {SENTENCES})::INTEGER]"


def _id(kind: int, number: str) -> str:
    """A UUIDv7 made of a row's number, in the order of the numbers."""
    return f"format('{{:08x}}-{kind:04x}-7000-8000-{{:012x}}', ({number})::BIGINT, ({number})::BIGINT)::UUID"


def _answer_id(exchange_id: str) -> str:
    """uuid5(exchange, "answer"), as `feedback.exchanges.answer_id` makes it."""
    digest = f"sha1(unhex(replace({exchange_id}::VARCHAR, '-', '')) || 'answer'::BLOB)"
    variant = "substr('89ab', 1 + ('0x' || substr(h, 17, 1))::INTEGER % 4, 1)"
    parts = f"substr(h, 1, 12) || '5' || substr(h, 14, 3) || {variant} || substr(h, 18, 15)"
    return f"list_transform([{digest}], lambda h: ({parts})::UUID)[1]"


def _statements(exchanges: int) -> list[str]:
    at = f"TIMESTAMP '2025-12-01' + to_microseconds((i * {365 * 86_400_000_000 // exchanges})::BIGINT)"
    owner = f"'user' || hash(i // {TURNS}) % {OWNERS}"
    assistant = f"['general', 'helpdesk', 'law'][1 + (hash(i // {TURNS}) % 3)::INTEGER]"
    conversation = _id(1, f"i // {TURNS}")
    rows = f"FROM range({exchanges}) r(i)"
    turn = f"i % {TURNS} = 0"
    return [
        f"""INSERT INTO conversations SELECT {conversation}, i * 5 + 1, {at}, {owner}, {owner}, {assistant},
            'Conversation ' || i {rows} WHERE {turn}""",
        f"""INSERT INTO exchanges SELECT {_id(2, "i")}, i * 5 + 2, {at}, {owner}, {conversation}, {assistant},
            {assistant} || '@0',
            json_array(json_object('role', 'system', 'content', {_sentence("1")}),
                json_object('role', 'user', 'content', {_sentence("2")}),
                json_object('role', 'assistant', 'content', {_sentence("3")})),
            {_sentence("4")} || ' word' || i, json_object('temperature', 0.7), 'chat', NULL {rows}, said""",
        f"""INSERT INTO answers SELECT {_answer_id(_id(2, "i"))}, i * 5 + 3, {at}, {owner}, {_id(2, "i")},
            {" || ' ' || ".join(_sentence(str(k)) for k in range(5, 10))}, 'stop', {assistant} || '@0',
            40, 70, 90.5, 1800.5, '' {rows}, said""",
        f"""INSERT INTO ratings SELECT {_id(4, "i")}, i * 5 + 4, {at}, {owner}, {_id(2, "i")},
            CASE WHEN i % 2 = 0 THEN 'up' ELSE 'down' END,
            CASE WHEN i % 3 = 0 THEN ['other'] ELSE [] END, '',
            CASE WHEN i % 7 = 1 THEN {_sentence("10")} ELSE '' END {rows}, said WHERE hash(i + 1) % 10 < 4""",
        f"""INSERT INTO reviews SELECT {_id(5, "i")}, i * 5 + 5, {at}, 'rita', {_id(2, "i")},
            CASE WHEN hash(i) % 3 = 0 THEN 'reject' ELSE 'approve' END, {_sentence("6")}, 'model', '', false
            {rows}, said WHERE hash(i + 1) % 10 < 2""",
        f"""INSERT INTO consents SELECT {_id(6, "i")}, i * 5 + 1, {at}, {owner}, {conversation}, false
            {rows} WHERE {turn} AND hash(i) % 50 = 0""",
    ]
