"""A store filled at once with exchanges that look like a year's: texts, tries, imports, ratings, consents.

Written in bulk, past the writing thread; what the store makes of the events (projection, search) it then
makes itself. Every figure follows from the row's number, so two fillings of one size are alike. What
reviewers did is in `judging.py`.
"""

import random
from pathlib import Path

import duckdb

from benchmarks.storing import judging
from benchmarks.storing.numbers import (
    LOUD,
    LOUD_SHARE,
    OWNERS,
    TURNS,
    answer_id,
    at,
    conversation,
    exchange,
    hashed,
    key,
    seq,
)
from feedback.store import Store

SENTENCES = 40_000
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
        for statement in (*_statements(exchanges), *judging.statements(exchanges, sentence)):
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


def sentence(what: str) -> str:
    """SQL of one of the sentences, drawn by the row's number and by what it is for."""
    return f"english[1 + (hash(i * 31 + {what}) % {SENTENCES})::INTEGER]"


def _statements(exchanges: int) -> list[str]:
    place = f"hash(i // {TURNS})"
    owner = f"CASE WHEN {place} % {LOUD_SHARE} = 0 THEN '{LOUD}' ELSE 'user' || {place} % {OWNERS} END"
    assistant = f"['general', 'helpdesk', 'law'][1 + (hash(i // {TURNS}) % 3)::INTEGER]"
    rows = f"FROM range({exchanges}) r(i)"
    time = at(exchanges)
    turn = f"(i % {TURNS} = 0)"
    # Some are answers that were proposed to the one before them; some were asked again, and replace it.
    proposed = f"({hashed(7)} < 10 AND NOT {turn})"
    source = f"""CASE WHEN {proposed} THEN 'proposal:teacher:big' WHEN {hashed(4)} < 50 THEN 'import:corpus'
        ELSE 'chat' END"""
    tried = f"CASE WHEN {hashed(5)} < 40 AND NOT {turn} AND NOT {proposed} THEN {exchange('i - 1')} END"
    ended = f"""CASE WHEN {hashed(3)} < 940 THEN 'stop' WHEN {hashed(3)} < 970 THEN 'length'
        WHEN {hashed(3)} < 990 THEN 'stopped' ELSE 'cut' END"""
    return [
        f"""INSERT INTO accounts SELECT {key(12, "i")}, 1, TIMESTAMP '2025-10-31', 'admin', 'user' || i,
            'created', 'user', '' FROM range({OWNERS}) r(i)""",
        f"""INSERT INTO conversations SELECT {conversation()}, {seq(1)}, {time}, {owner}, {owner},
            {assistant}, 'Conversation ' || i {rows} WHERE {turn}""",
        f"""INSERT INTO exchanges SELECT {exchange()}, {seq(2)}, {time}, {owner}, {conversation()},
            {assistant}, {assistant} || '@0',
            json_array(json_object('role', 'system', 'content', {sentence("1")}),
                json_object('role', 'user', 'content', {sentence("2")}),
                json_object('role', 'assistant', 'content', {sentence("3")})),
            {sentence("4")} || ' word' || i, json_object('temperature', 0.7), {source}, {tried}
            {rows}, said""",
        f"""INSERT INTO answers SELECT {answer_id(exchange())}, {seq(3)}, {time}, {owner}, {exchange()},
            {" || ' ' || ".join(sentence(str(k)) for k in range(5, 10))}, {ended}, {assistant} || '@0',
            40, 70, 90.5, 1800.5, '' {rows}, said""",
        f"""INSERT INTO ratings SELECT {key(4)}, {seq(4)}, {time}, {owner}, {exchange()},
            CASE WHEN i % 2 = 0 THEN 'up' ELSE 'down' END,
            CASE WHEN i % 3 = 0 THEN ['other'] ELSE [] END, '',
            CASE WHEN i % 7 = 1 THEN {sentence("10")} ELSE '' END {rows}, said WHERE {hashed(1)} < 400""",
        f"""INSERT INTO consents SELECT {key(6)}, {seq(1)}, {time}, {owner}, {conversation()}, false
            {rows} WHERE {turn} AND hash(i) % 50 = 0""",
        f"""INSERT INTO shares SELECT {key(10)}, {seq(1)}, {time}, {owner}, {conversation()}, true
            {rows} WHERE {turn} AND hash(i) % 25 = 1""",
        f"""INSERT INTO shares SELECT {key(11)}, {seq(6)}, {time}, {owner}, {conversation()}, false
            {rows} WHERE {turn} AND hash(i) % 250 = 1""",
        f"""INSERT INTO proposals SELECT {key(21)}, {seq(1)}, {time}, 'otto', {exchange()},
            {exchange("i - 1")}, 'teacher:big', 1 {rows} WHERE {proposed}""",
        f"""INSERT INTO signals SELECT {key(13)}, {seq(4)}, {time}, {owner}, {exchange()},
            ['copy', 'copy', 'copy', 'retry', 'edit'][1 + (hash(i) % 5)::INTEGER] {rows}
            WHERE {hashed(6)} < 50""",
    ]
