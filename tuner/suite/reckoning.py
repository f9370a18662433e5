"""Items with one right result in English: arithmetic, dates, sorting, counting, copying.

Templates, tables, and numbers drawn once by a fixed seed; the checks are in `tuner/suite/content.py`.

Trail: tuner/suite/catalogue.py -> here -> tuner/suite/item.py
"""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from tuner.suite.item import LONG, SHORT, Draft, Item, ask, rule, series

SUMS = (
    *(("plus-small", "+", 9, 4), ("plus", "+", 60, 4), ("plus-large", "+", 900, 2)),
    *(("minus-small", "-", 19, 4), ("minus", "-", 90, 3), ("times-small", "×", 9, 4), ("times", "×", 19, 2)),
)
"""Template, mark, greatest number, count."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WORDS = (
    *(("pear", "apple", "mango"), ("dog", "cat", "bird"), ("sun", "moon", "star", "earth")),
    *(("lion", "bear", "wolf", "deer"), ("rice", "bread", "milk"), ("zoo", "hat", "ink", "map")),
)
FIGURES = ((7, 2, 5), (31, 12, 25), (4, 9, 1, 6), (88, 15, 42, 60), (3, 1, 2))


def items() -> Iterator[Item]:
    for name, mark, highest, count in SUMS:
        stem = f"en.arithmetic.{name}"
        yield from series(stem, sums(stem, mark, highest, count), _sum)
    yield from _stories()
    yield from _dates()
    yield from _sorting()
    yield from _counting()
    yield from _copying()


def sums(stem: str, mark: str, highest: int, count: int) -> list[tuple[int, str, int, int]]:
    """So many different sums as left, mark, right and result; the result is neither of the two."""
    draw = Random(stem)  # noqa: S311
    found: list[tuple[int, str, int, int]] = []
    while len(found) < count:
        left, right = draw.randint(3, highest), draw.randint(2, highest)
        result = {"+": left + right, "-": left - right, "×": left * right}[mark]
        row = (left, mark, right, result)
        if result > 0 and result not in (left, right) and row not in found:
            found.append(row)
    return found


def _sum(row: tuple[int, str, int, int]) -> Draft:
    left, mark, right, result = row
    return ask(
        f"What is {left} {mark} {right}? Answer with the number only.",
        rule("number", value=result, given=[left, right]),
        room=SHORT,
    )


def _stories() -> Iterator[Item]:
    yield from series(
        "en.arithmetic.story",
        (
            ("Tom has 3 apples and buys 4 more. How many apples does he have?", 7, [3, 4]),
            ("There are 10 birds on a wire and 4 fly away. How many are left?", 6, [10, 4]),
            ("A box holds 6 eggs. How many eggs are in 3 boxes?", 18, [6, 3]),
            ("Mia reads 5 pages a day. How many pages does she read in 7 days?", 35, [5, 7]),
            ("A ticket costs 8 dollars. What do 4 tickets cost?", 32, [8, 4]),
            ("12 sweets are shared equally by 4 children. How many does each get?", 3, [12, 4]),
            (
                "A train leaves with 50 people, 20 get off and 15 get on. How many are on it?",
                45,
                [50, 20, 15],
            ),
        ),
        lambda row: ask(f"{row[0]} Give only the number.", rule("number", value=row[1], given=row[2])),
    )


def _dates() -> Iterator[Item]:
    yield from series(
        "en.dates.weekday",
        ((0, 1), (2, 2), (4, 3), (5, 1), (6, 2), (3, 4)),
        lambda row: _weekday(*row),
    )
    yield from series(
        "en.dates.after",
        (
            *((date(2023, 3, 10), 5), (date(2024, 6, 28), 4), (date(2023, 12, 30), 3)),
            *((date(2024, 2, 27), 3), (date(2025, 5, 1), 7)),
        ),
        lambda row: _after(*row),
    )
    yield from series(
        "en.dates.iso",
        (date(2021, 4, 9), date(2019, 11, 23), date(2024, 1, 5), date(2020, 8, 30)),
        lambda day: ask(
            f"Write the date {day:%B} {day.day}, {day.year} in the format YYYY-MM-DD. Give only the date.",
            rule("exactly", texts=[day.isoformat()]),
        ),
    )
    yield from series(
        "en.dates.facts",
        (
            ("How many days are in a week?", 7),
            ("How many months are in a year?", 12),
            ("How many hours are in one day?", 24),
            ("How many minutes are in one hour?", 60),
            ("How many days are in two weeks?", 14),
        ),
        lambda row: ask(row[0] + " Answer with a number.", rule("number", value=row[1], given=[1, 2])),
    )


def _weekday(start: int, steps: int) -> Draft:
    right = DAYS[(start + steps) % 7]
    many = f"{steps} days" if steps > 1 else "1 day"
    wrong = [day for day in DAYS if day not in (right, DAYS[start])]
    return ask(
        f"Today is {DAYS[start]}. Which day of the week is it in {many}?",
        rule("says", one_of=[right], none_of=wrong),
    )


def _after(start: date, days: int) -> Draft:
    end = start + timedelta(days)
    return ask(
        f"Which date is {days} days after {start:%B} {start.day}, {start.year}? Give only the date.",
        rule("day", year=end.year, month=end.month, day=end.day),
    )


def _sorting() -> Iterator[Item]:
    yield from series(
        "en.sort.words",
        WORDS,
        lambda row: ask(
            f"Sort these words alphabetically: {', '.join(row)}. Give only the sorted words.",
            rule("sequence", texts=sorted(row)),
        ),
    )
    yield from series(
        "en.sort.numbers",
        FIGURES,
        lambda row: ask(
            f"Sort from smallest to largest: {', '.join(map(str, row))}. Give only the numbers.",
            rule("sequence", texts=[str(n) for n in sorted(row)]),
        ),
    )
    yield from series(
        "en.sort.down",
        FIGURES[:4],
        lambda row: ask(
            f"Sort from largest to smallest: {', '.join(map(str, row))}. Give only the numbers.",
            rule("sequence", texts=[str(n) for n in sorted(row, reverse=True)]),
        ),
    )


def _counting() -> Iterator[Item]:
    yield from series(
        "en.count.letters",
        ("cat", "house", "window", "elephant", "tea"),
        lambda word: ask(
            f'How many letters are in the word "{word}"? Answer with a number.',
            rule("number", value=len(word)),
            room=SHORT,
        ),
    )
    yield from series(
        "en.count.larger",
        ((17, 71), (230, 203), (9, 12), (1001, 999), (64, 46)),
        lambda row: ask(
            f"Which number is larger, {row[0]} or {row[1]}? Answer with that number only.",
            rule("number", value=max(row)),
            room=SHORT,
        ),
    )


def _copying() -> Iterator[Item]:
    yield from series(
        "en.copy.text",
        (
            *("The blue door was left open.", "Seven sheep sleep soundly.", "Order 4471-B is ready."),
            *(
                "We meet at noon by the old bridge.",
                "Please water the plants on Friday.",
                "Mist over the hill",
            ),
        ),
        lambda text: ask(
            f"Repeat this sentence exactly and write nothing else: {text}",
            rule("exactly", texts=[text], case=True),
        ),
    )
    yield from series(
        "en.copy.times",
        (("hello", 3), ("tick", 4), ("yes", 2), ("rain", 5), ("stone", 3)),
        lambda row: ask(
            f'Write the word "{row[0]}" exactly {row[1]} times, separated by spaces, and nothing else.',
            rule("repeated", text=row[0], times=row[1]),
        ),
    )
    yield from series(
        "en.copy.first",
        ("red, green, blue", "Oslo, Lima, Cairo, Quito", "bus, tram, ferry", "oak, elm, ash, fir"),
        lambda row: ask(
            f"Here is a list: {row}. Write only the first thing in the list.",
            rule("exactly", texts=[row.split(", ")[0]]),
            room=SHORT,
        ),
    )
    yield from series(
        "en.copy.last",
        ("cup, plate, fork", "ant, bee, wasp, fly", "Rome, Paris, Bern"),
        lambda row: ask(
            f"Here is a list: {row}. Write only the last thing in the list.",
            rule("exactly", texts=[row.split(", ")[-1]]),
            room=SHORT,
        ),
    )
    yield from series(
        "en.copy.backwards",
        (("one", "two", "three"), ("north", "east", "south"), ("A1", "B2", "C3", "D4")),
        lambda row: ask(
            f"Write these in reverse order: {', '.join(row)}. Write nothing else.",
            rule("sequence", texts=row[::-1]),
            room=LONG,
        ),
    )
