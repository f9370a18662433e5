"""Items that ask for a form in English: lengths, words to use or avoid, cases, lists, JSON.

Templates and tables only; the checks are in `tuner/suite/form.py`.

Trail: tuner/suite/catalogue.py -> here -> tuner/suite/item.py
"""

from collections.abc import Iterator

from tuner.suite.item import LONG, MEDIUM, SHORT, Item, ask, rule, series

COLOURS = (
    *(("fresh grass", "green"), ("snow", "white"), ("a ripe banana", "yellow"), ("coal", "black")),
    *(("a clear daytime sky", "blue"), ("fresh blood", "red")),
)
THINGS = ("a cat", "the sea", "a bicycle", "winter", "a library", "bread", "the moon", "a hammer")
ABOUT = {
    "a cat": ["cat", "cats", "feline", "kitten"],
    "the sea": ["sea", "seas", "ocean", "water", "waves"],
    "a bicycle": ["bicycle", "bicycles", "bike", "pedals", "cycling"],
    "winter": ["winter", "winters", "snow", "cold"],
    "a library": ["library", "libraries", "books"],
    "bread": ["bread", "breads", "loaf", "dough"],
}
"""Words by which an answer is known to be about a thing."""


def items() -> Iterator[Item]:
    yield from _length()
    yield from _keywords()
    yield from _case()
    yield from _lists()
    yield from _json()


def _length() -> Iterator[Item]:
    yield from series(
        "en.length.one-word",
        COLOURS,
        lambda row: ask(
            f"What colour is {row[0]}? Answer with one word only.",
            rule("words", most=1),
            rule("says", one_of=[row[1]]),
            room=SHORT,
        ),
    )
    yield from series(
        "en.length.at-most",
        zip(THINGS, (15, 12, 10, 20, 8, 15, 25, 10), strict=True),
        lambda row: ask(f"Describe {row[0]} in at most {row[1]} words.", rule("words", least=2, most=row[1])),
    )
    yield from series(
        "en.length.sentences",
        zip(THINGS[:6], (1, 2, 3, 1, 2, 3), strict=True),
        lambda row: ask(
            f"Write exactly {row[1]} sentence{'s' if row[1] > 1 else ''} about {row[0]}.",
            rule("sentences", least=row[1], most=row[1]),
            rule("says", one_of=ABOUT[row[0]]),
            room=LONG,
        ),
    )
    yield from series(
        "en.length.at-least",
        zip(THINGS[2:6], (12, 15, 20, 10), strict=True),
        lambda row: ask(
            f"Write one sentence of at least {row[1]} words about {row[0]}.",
            rule("words", least=row[1]),
            rule("sentences", most=1),
            rule("says", one_of=ABOUT[row[0]]),
            room=LONG,
        ),
    )


def _keywords() -> Iterator[Item]:
    yield from series(
        "en.keywords.include",
        (
            *(("dog", "river"), ("garden", "morning"), ("train", "letter"), ("rain", "umbrella")),
            *(("teacher", "apple"), ("music", "window"), ("market", "fish")),
        ),
        lambda row: ask(
            f'Write one sentence that contains the words "{row[0]}" and "{row[1]}".',
            rule("has", texts=row),
            rule("sentences", most=1),
        ),
    )
    yield from series(
        "en.keywords.avoid",
        (
            *(("the sun", "hot"), ("a dog", "animal"), ("an apple", "fruit"), ("a car", "vehicle")),
            *(("the ocean", "water"), ("a pencil", "write")),
        ),
        lambda row: ask(
            f'Describe {row[0]} in one sentence without using the word "{row[1]}".',
            rule("words", least=3),
            rule("lacks", texts=[row[1], row[1] + "s"]),
        ),
    )
    yield from series(
        "en.keywords.begin",
        (("Well", "the weather"), ("Today", "a holiday"), ("Imagine", "a castle"), ("First", "making tea")),
        lambda row: ask(
            f'Write one sentence about {row[1]}. Begin your answer with the word "{row[0]}".',
            rule("begins", text=row[0]),
            rule("words", least=4),
        ),
    )
    yield from series(
        "en.keywords.end",
        (("Have a nice day", "a thank-you"), ("The end", "a fox"), ("Any questions", "the rain")),
        lambda row: ask(
            f'Write one short sentence about {row[1]}, then finish with the exact phrase "{row[0]}".',
            rule("ends", text=row[0]),
            rule("words", least=5),
        ),
    )


def _case() -> Iterator[Item]:
    yield from series(
        "en.case.word",
        ("apple", "garden", "silver", "monday"),
        lambda word: ask(
            f'Write the word "{word}" in capital letters. Give only the word.',
            rule("exactly", texts=[word.upper()], case=True),
            room=SHORT,
        ),
    )
    yield from series(
        "en.case.lower",
        ("HELLO WORLD", "GOOD MORNING", "NEW YORK"),
        lambda text: ask(
            f"Convert this text to lowercase: {text}",
            rule("lower"),
            rule("has", texts=[text.lower()]),
            room=SHORT,
        ),
    )
    yield from series(
        "en.case.upper-sentence",
        ("the sea", "a friend", "breakfast", "a train"),
        lambda thing: ask(
            f"Write one sentence about {thing} using only capital letters.",
            rule("upper"),
            rule("words", least=3),
        ),
    )
    yield from series(
        "en.case.lower-sentence",
        ("a garden", "the night", "a baker"),
        lambda thing: ask(
            f"Write one sentence about {thing} using only lowercase letters, no capitals at all.",
            rule("lower"),
            rule("words", least=3),
        ),
    )


def _lists() -> Iterator[Item]:
    yield from series(
        "en.list.bullets",
        ((3, "fruits"), (4, "animals"), (2, "colours"), (5, "countries"), (3, "musical instruments")),
        lambda row: ask(
            f'List exactly {row[0]} {row[1]} as bullet points that begin with "- ".',
            rule("bullets", count=row[0]),
            room=LONG,
        ),
    )
    yield from series(
        "en.list.numbered",
        ((3, "vegetables"), (4, "sports"), (5, "things found in a kitchen"), (3, "cities"), (2, "drinks")),
        lambda row: ask(
            f"Give a numbered list of exactly {row[0]} {row[1]}.",
            rule("numbered", count=row[0]),
            room=LONG,
        ),
    )
    yield from series(
        "en.list.commas",
        ((3, "birds"), (4, "colours"), (2, "planets"), (3, "kinds of weather"), (5, "fruits")),
        lambda row: ask(
            f"Name {row[0]} {row[1]}, separated by commas, on one line. Write nothing else.",
            rule("commas", count=row[0]),
        ),
    )


def _json() -> Iterator[Item]:
    yield from series(
        "en.json.values",
        (("Anna", 30), ("Tom", 12), ("Mei", 45), ("Omar", 8), ("Lena", 61)),
        lambda row: ask(
            'Write a JSON object with the keys "name" and "age" for a person named '
            f"{row[0]} who is {row[1]} years old. Output only the JSON.",
            rule("json_object", values={"name": row[0], "age": row[1]}),
        ),
    )
    yield from series(
        "en.json.from-text",
        (("book", "red", 7), ("lamp", "white", 25), ("shirt", "blue", 19), ("chair", "brown", 40)),
        lambda row: ask(
            f'Text: "The {row[1]} {row[0]} costs {row[2]} dollars."\n'
            'Answer with only a JSON object that has the keys "item", "color" and "price".',
            rule("json_object", values={"item": row[0], "color": row[1], "price": row[2]}),
            room=LONG,
        ),
    )
    yield from series(
        "en.json.list",
        ((2, 4, 6), (1, 3, 5, 7), (10, 20, 30), (9, 8, 7)),
        lambda row: ask(
            f"Write the numbers {', '.join(map(str, row))} as a JSON list. Output only the JSON.",
            rule("json_list", values=row),
        ),
    )
    yield from series(
        "en.json.strings",
        ((3, "fruits"), (2, "colours"), (4, "animals")),
        lambda row: ask(
            f"Give a JSON list of {row[0]} {row[1]} as strings. Output only the JSON.",
            rule("json_list", count=row[0], kind="string"),
            room=MEDIUM,
        ),
    )
    yield from series(
        "en.json.keys",
        (("title", "author"), ("city", "country"), ("question", "answer"), ("fruit", "colour")),
        lambda row: ask(
            f'Make up one example and write it as a JSON object with exactly the keys "{row[0]}" and '
            f'"{row[1]}". Output only the JSON.',
            rule("json_object", keys=row),
            room=LONG,
        ),
    )
