"""What reviewers did with a filled store: opinions and the reviews they became, claims, gold items.

A fifth of all exchanges is settled, a fifth of those by two opinions. One in a hundred was reopened. Of
what waits some have an opinion already: of one who waits for a second, of two who disagree, of one who
skipped. Work is done in another order than it came in.
"""

from collections.abc import Callable

from benchmarks.storing.numbers import at, exchange, hashed, key, seq

REVIEWERS = ("rita", "rob", "sue", "tom", "una", "vic", "wes", "yan")
SETTLED, TWICE, REOPENED, AGAIN = 200, 40, 190, 192
"""Of a thousand exchanges, by the number that their rating is drawn by: settled below SETTLED, by two below
TWICE, reopened from REOPENED on, and judged once more below AGAIN."""
WAITING, DISPUTED, SKIPPED, GOLD = 204, 205, 207, 208
"""Where those end that wait for a second opinion, are disputed, were skipped, and are gold items."""
LAG = 20_000
"""Exchanges of about one time, among which reviewers chose."""


def statements(exchanges: int, sentence: Callable[[str], str]) -> list[str]:
    """The SQL that fills the tables; `sentence` is SQL for a text, drawn from the table `said`."""
    draw = hashed(1)
    rows = f"FROM range({exchanges}) r(i), said WHERE {draw}"
    chosen = f"ORDER BY i // {LAG}, hash(i + 9)"
    time = f"{at(exchanges)} + INTERVAL 1 DAY"
    first, second = _reviewer(7), _reviewer(8)
    # What two say is the same, but where they disagree.
    verdict = "CASE WHEN hash(i) % 3 = 0 THEN 'reject' ELSE 'approve' END"
    words = f"CASE WHEN hash(i) % 3 = 0 THEN NULL ELSE {sentence('6')} END"
    last, again = key(5), key(8)
    early = f"CASE WHEN {draw} < {TWICE} THEN {key(7)} ELSE {last} END"
    return [
        f"""INSERT INTO accounts SELECT {key(14)}, 1, TIMESTAMP '2025-10-31', 'admin',
            {list(REVIEWERS)}[i::INTEGER + 1], 'created', 'reviewer', '' FROM range({len(REVIEWERS)}) r(i)""",
        _opinions(f"{early}, {seq(4)}, {time}, {first}, {exchange()}, {exchange()}", verdict, words)
        + f"{rows} < {SETTLED} {chosen}",
        _opinions(f"{last}, {seq(5)}, {time}, {second}, {exchange()}, {exchange()}", verdict, words)
        + f"{rows} < {TWICE} {chosen}",
        f"""INSERT INTO reviews SELECT {last}, {seq(5)}, {time},
            CASE WHEN {draw} < {TWICE} THEN {second} ELSE {first} END, {exchange()}, {verdict}, {words},
            CASE WHEN hash(i) % 3 = 0 THEN NULL ELSE 'model' END, '', false {rows} < {SETTLED} {chosen}""",
        f"""INSERT INTO reviews SELECT {again}, {seq(6)}, {time}, 'rob', {exchange()}, 'reopen', NULL, NULL,
            'Look again.', false {rows} BETWEEN {REOPENED} AND {SETTLED - 1} {chosen}""",
        _opinions(f"{key(9)}, {seq(6)}, {time}, {first}, {exchange()}, {again}", verdict, words)
        + f"{rows} BETWEEN {REOPENED} AND {AGAIN - 1} {chosen}",
        _opinions(
            f"{last}, {seq(5)}, {time}, {first}, {exchange()}, {exchange()}", "'approve'", sentence("6")
        )
        + f"{rows} BETWEEN {SETTLED} AND {DISPUTED - 1} {chosen}",
        _opinions(f"{key(7)}, {seq(6)}, {time}, {second}, {exchange()}, {exchange()}", "'reject'", "NULL")
        + f"{rows} BETWEEN {WAITING} AND {DISPUTED - 1} {chosen}",
        _opinions(f"{last}, {seq(5)}, {time}, {first}, {exchange()}, {exchange()}", "'skip'", "NULL")
        + f"{rows} BETWEEN {DISPUTED} AND {SKIPPED - 1} {chosen}",
        *(
            f"""INSERT INTO claims SELECT {key(15 + place)}, {seq(place)}, {time}, {first}, {key(20)},
            {exchange()}, {time} + INTERVAL {minutes} MINUTE {rows} < {SKIPPED} {chosen}"""
            for place, minutes in ((4, 10), (5, 0))
        ),
        f"""INSERT INTO golds SELECT {key(18)}, {seq(1)}, {at(exchanges)}, 'otto', {exchange()}, 'approve',
            '', hash(i) % 10 = 0 {rows} BETWEEN {SKIPPED} AND {GOLD - 1}""",
    ]


def _reviewer(what: int) -> str:
    """One of them, and for 7 and 8 never the same."""
    place = f"(hash(i + 7) % {len(REVIEWERS)} + {what - 7}) % {len(REVIEWERS)}"
    return f"{list(REVIEWERS)}[1 + ({place})::INTEGER]"


def _opinions(told: str, verdict: str, words: str) -> str:
    return f"""INSERT INTO opinions SELECT {told}, {verdict}, {words},
        CASE WHEN {verdict} IN ('reject', 'skip') THEN NULL ELSE 'model' END, '', true """
