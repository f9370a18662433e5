"""Items of plain knowledge and reading in English: facts, choices, translation, classes, extraction.

Templates and tables only; the checks are in `tuner/suite/content.py`.

Trail: tuner/suite/catalogue.py -> here -> tuner/suite/item.py
"""

from collections.abc import Iterator

from tuner.suite.item import MEDIUM, SHORT, Draft, Item, ask, rule, series

FACTS: tuple[tuple[str, list[str], list[str]], ...] = (
    ("What is the capital of France?", ["Paris"], ["Lyon", "London"]),
    ("What is the capital of Japan?", ["Tokyo"], ["Kyoto", "Osaka"]),
    ("What is the capital of Spain?", ["Madrid"], ["Barcelona"]),
    ("What is the capital of South Korea?", ["Seoul"], ["Busan"]),
    ("Which planet do we live on?", ["Earth"], ["Mars"]),
    ("What do bees make?", ["honey"], []),
    ("What is frozen water called?", ["ice"], ["steam"]),
    ("Which season comes after winter?", ["spring"], ["autumn", "fall"]),
    ("What is the opposite of hot?", ["cold"], []),
    ("What is the opposite of up?", ["down"], []),
    ("What do you call a baby dog?", ["puppy", "pup"], ["kitten"]),
    ("Which animal says meow?", ["cat", "cats"], ["dog"]),
    ("What is the largest ocean on Earth?", ["Pacific"], ["Atlantic"]),
    ("Who painted the Mona Lisa?", ["Leonardo", "da Vinci"], []),
    ("What gas do people need to breathe to live?", ["oxygen"], []),
    ("What is the chemical formula of water?", ["H2O", "H₂O"], ["CO2"]),
)
CHOICES = (
    ("Which of these is a fruit?", ["hammer", "apple", "chair", "river"], 1),
    ("Which of these can fly?", ["eagle", "horse", "shark", "turtle"], 0),
    ("Which of these is a colour?", ["Tuesday", "seven", "purple", "piano"], 2),
    ("Which city is the capital of Germany?", ["Munich", "Hamburg", "Cologne", "Berlin"], 3),
    ("Which is the largest number?", ["12", "45", "39", "27"], 1),
    ("What do plants need to grow?", ["plastic", "sand", "sunlight", "glass"], 2),
    ("Which of these is a mammal?", ["whale", "trout", "eagle", "frog"], 0),
    ("Which month comes after April?", ["March", "June", "August", "May"], 3),
    ("Which of these is a vegetable?", ["carrot", "spoon", "cloud", "shoe"], 0),
    ("What is used to write?", ["pillow", "pen", "plate", "boot"], 1),
)
TRANSLATIONS = (
    *(("French", "cat", ["chat", "le chat", "un chat"]), ("French", "water", ["eau", "l'eau", "de l'eau"])),
    *(("French", "thank you", ["merci"]), ("Spanish", "house", ["casa", "la casa", "una casa"])),
    *(("Spanish", "dog", ["perro", "el perro", "un perro"]), ("Spanish", "red", ["rojo", "roja"])),
    *(("Spanish", "good morning", ["buenos días", "buenos dias", "buen día"]), ("French", "yes", ["oui"])),
    *(("German", "book", ["Buch", "das Buch", "ein Buch"]), ("German", "milk", ["Milch", "die Milch"])),
    *(("Italian", "bread", ["pane", "il pane"]), ("Korean", "water", ["물"])),
    *(("Korean", "hello", ["안녕", "안녕하세요"]), ("Korean", "school", ["학교"])),
)
MOODS = (
    *(
        ("I loved every minute of this film.", "positive"),
        ("The soup was cold and the waiter rude.", "negative"),
    ),
    *(("What a wonderful gift, thank you!", "positive"), ("This phone broke after two days.", "negative")),
    *(("The room was clean and the view superb.", "positive"), ("I will never shop here again.", "negative")),
    *(("Terrible service and a long wait.", "negative"), ("My best holiday in years.", "positive")),
)
SORTS = (
    *(("salmon", "animal"), ("tulip", "plant"), ("oak", "plant"), ("horse", "animal")),
    *(("sparrow", "animal"), ("rose", "plant")),
)
NOTES = (
    ("Please write to Dana at dana@harbour.example before noon.", "e-mail address", "dana@harbour.example"),
    ("The meeting with Mr Okafor is in room 214 at 3 pm.", "room number", "214"),
    ("Lena flew from Oslo to Madrid last Tuesday.", "name of the person", "Lena"),
    ("Your order number is 88213 and it ships tomorrow.", "order number", "88213"),
    ("The red bus to the station leaves at 7:45.", "time", "7:45"),
    ("Our shop sells tea, coffee and cocoa, and is owned by Bert Hall.", "owner's full name", "Bert Hall"),
)


def items() -> Iterator[Item]:
    yield from series(
        "en.facts.plain",
        FACTS,
        lambda row: ask(row[0], rule("says", one_of=row[1], none_of=row[2])),
    )
    yield from series("en.choice.four", CHOICES, _choice)
    yield from series(
        "en.translate.word",
        TRANSLATIONS,
        lambda row: ask(
            f'Translate "{row[1]}" into {row[0]}. Give only the translation.',
            rule("exactly", texts=row[2]),
            room=SHORT,
        ),
    )
    yield from _classes()
    yield from series(
        "en.extract.one",
        NOTES,
        lambda row: ask(
            f'Text: "{row[0]}"\nWhat is the {row[1]} in the text? Give only that.',
            rule("says", one_of=[row[2]]),
            rule("words", most=len(row[2].split()) + 9),
        ),
    )


def _choice(row: tuple[str, list[str], int]) -> Draft:
    question, options, right = row
    listed = "\n".join(f"{chr(65 + n)}) {text}" for n, text in enumerate(options))
    return ask(
        f"{question}\n{listed}\nAnswer with the letter only.",
        rule("choice", letter=chr(65 + right), options=options),
        room=SHORT,
    )


def _classes() -> Iterator[Item]:
    yield from series(
        "en.classify.mood",
        MOODS,
        lambda row: ask(
            f'Is this review positive or negative? "{row[0]}" Answer with one word.',
            rule("says", one_of=[row[1]], none_of=[{"positive": "negative"}.get(row[1], "positive")]),
            room=SHORT,
        ),
    )
    yield from series(
        "en.classify.living",
        SORTS,
        lambda row: ask(
            f"Is a {row[0]} an animal or a plant? Answer with one word.",
            rule("says", one_of=[row[1]], none_of=[{"animal": "plant"}.get(row[1], "animal")]),
            room=SHORT,
        ),
    )
    yield from series(
        "en.classify.true",
        (
            *(("Fish live in water.", "true"), ("A triangle has four sides.", "false")),
            *(("The sun rises in the west.", "false"), ("Ice is colder than boiling water.", "true")),
            *(("Two plus two is five.", "false"), ("A week has seven days.", "true")),
        ),
        lambda row: ask(
            f"True or false: {row[0]} Answer with one word.",
            rule("says", one_of=[row[1]], none_of=[{"true": "false"}.get(row[1], "true")]),
            room=MEDIUM,
        ),
    )
