"""Items of everyday use, easy for a small model: keeping to a subject, yes or no, reading, short texts.

Whoever gives one answer to everything fails them all. English, and Korean where it is as plain.

Trail: tuner/suite/catalogue.py -> here -> tuner/suite/item.py
"""

from collections.abc import Iterator

from tuner.suite.item import LONG, MEDIUM, SHORT, Item, ask, rule, series

SUBJECTS = (
    ("the moon", ("moon",)),
    ("horses", ("horse",)),
    ("coffee", ("coffee",)),
    ("volcanoes", ("volcano", "lava")),
    ("football", ("football", "soccer", "ball", "team")),
    ("rice", ("rice",)),
    ("the violin", ("violin",)),
    ("elephants", ("elephant",)),
)
KOREAN_SUBJECTS = (
    *(
        ("달", ("달",)),
        ("커피", ("커피",)),
        ("쌀", ("쌀", "밥")),
        ("코끼리", ("코끼리",)),
        ("축구", ("축구", "공")),
    ),
    *(("김치", ("김치",)), ("바이올린", ("바이올린",))),
)
YES_OR_NO = (
    *(("Is ice cold?", "yes"), ("Can fish swim?", "yes"), ("Is a whale smaller than an ant?", "no")),
    *(("Do cats have wings?", "no"), ("Is London in England?", "yes"), ("Is fire cold?", "no")),
    *(("Are bananas a fruit?", "yes"), ("Can people breathe under water without equipment?", "no")),
)
KOREAN_YES_OR_NO = (
    *(
        ("얼음은 차가운가요?", "네"),
        ("물고기는 헤엄칠 수 있나요?", "네"),
        ("고양이에게 날개가 있나요?", "아니요"),
    ),
    *(("바나나는 과일인가요?", "네"), ("고래는 개미보다 작은가요?", "아니요")),
)
TEXTS = (
    (
        "Sara planted three rose bushes behind the house.",
        "What did Sara plant?",
        ["rose", "roses", "rose bushes"],
    ),
    ("The museum is closed on Mondays.", "On which day is the museum closed?", ["Monday", "Mondays"]),
    ("Ben's dog is called Biscuit and his cat is called Pepper.", "What is the dog's name?", ["Biscuit"]),
    ("The bakery sells bread in the morning and soup at night.", "What does it sell at night?", ["soup"]),
    ("Maria moved from Chile to Canada in 2015.", "To which country did Maria move?", ["Canada"]),
    ("The red team won the match by two goals.", "Which team won?", ["red", "red team"]),
    ("Grandmother keeps the keys in a blue jar.", "Where are the keys?", ["jar", "blue jar"]),
    ("The bridge was built in 1932 by the town.", "When was the bridge built?", ["1932"]),
)
KOREAN_TEXTS = (
    ("박물관은 월요일에 쉽니다.", "박물관은 언제 쉬나요?", ["월요일"]),
    ("민지의 개는 초코이고 고양이는 나비입니다.", "개의 이름은 무엇인가요?", ["초코"]),
    ("할머니는 열쇠를 파란 항아리에 둡니다.", "열쇠는 어디에 있나요?", ["항아리"]),
    ("다리는 1932년에 지어졌습니다.", "다리는 언제 지어졌나요?", ["1932"]),
    ("빨간 팀이 두 골 차이로 이겼습니다.", "어느 팀이 이겼나요?", ["빨간"]),
)


def items() -> Iterator[Item]:
    yield from _subjects()
    yield from _answers()
    yield from _texts()


def _subjects() -> Iterator[Item]:
    yield from series(
        "en.subject.tell",
        SUBJECTS,
        lambda row: ask(
            f"Tell me something about {row[0]} in one or two sentences.", rule("helps", about=row[1])
        ),
    )
    yield from series(
        "ko.subject.tell",
        KOREAN_SUBJECTS,
        lambda row: ask(
            f"{row[0]}에 대해 한두 문장으로 알려 주세요.",
            rule("language", name="ko"),
            rule("helps", about=row[1]),
        ),
    )
    yield from series(
        "en.subject.poem",
        SUBJECTS[:4],
        lambda row: ask(
            f"Write a poem of four lines about {row[0]}.",
            rule("lines", count=4),
            rule("helps", about=row[1]),
            room=LONG,
        ),
    )


def _answers() -> Iterator[Item]:
    yield from series(
        "en.yesno.plain",
        YES_OR_NO,
        lambda row: ask(
            f"{row[0]} Begin your answer with yes or no.", rule("begins", text=row[1]), room=SHORT
        ),
    )
    yield from series(
        "ko.yesno.plain",
        KOREAN_YES_OR_NO,
        lambda row: ask(
            f'{row[0]} "네" 또는 "아니요"로 시작하세요.', rule("begins", text=row[1]), room=SHORT
        ),
    )


def _texts() -> Iterator[Item]:
    yield from series(
        "en.reading.one",
        TEXTS,
        lambda row: ask(f"{row[0]}\n\n{row[1]}", rule("says", one_of=row[2]), room=MEDIUM),
    )
    yield from series(
        "ko.reading.one", KOREAN_TEXTS, lambda row: ask(f"{row[0]}\n\n{row[1]}", rule("says", one_of=row[2]))
    )
    yield from series(
        "en.writing.note",
        (("Mr Lee", "a meeting"), ("Anna", "a birthday"), ("the team", "a holiday"), ("Dr Moss", "a delay")),
        lambda row: ask(
            f'Write a short e-mail to {row[0]} about {row[1]}. Begin with "Dear {row[0]}".',
            rule("has", texts=[f"Dear {row[0]}"]),
            rule("has", texts=[row[1].split()[1]]),
            room=LONG,
        ),
    )
    yield from series(
        "en.writing.reply",
        (("Thank you for your help!", "welcome"), ("Good morning!", "morning"), ("Goodbye, see you!", "bye")),
        lambda row: ask(row[0], rule("helps", about=[row[1], "glad", "help", "see you"])),
    )
