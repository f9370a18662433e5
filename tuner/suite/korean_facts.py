"""Items with a right answer in Korean: arithmetic, dates, sorting, copying, facts, choices, words, classes.

Trail: tuner/suite/catalogue.py -> here -> tuner/suite/item.py
"""

from collections.abc import Iterator
from datetime import date, timedelta

from tuner.suite.item import MEDIUM, SHORT, Draft, Item, ask, rule, series
from tuner.suite.reckoning import sums

SUMS = (("plus-small", "+", 9, 3), ("plus", "+", 60, 3), ("minus", "-", 40, 3), ("times", "×", 9, 3))
DAYS = ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일")
FACTS: tuple[tuple[str, list[str], list[str]], ...] = (
    ("제주도는 어느 나라의 섬인가요?", ["한국", "대한민국"], ["일본"]),
    ("프랑스의 수도는 어디인가요?", ["파리"], ["런던"]),
    ("일본의 수도는 어디인가요?", ["도쿄", "동경"], ["오사카"]),
    ("꿀을 만드는 곤충은 무엇인가요?", ["벌", "꿀벌"], ["개미"]),
    ("겨울 다음에 오는 계절은 무엇인가요?", ["봄"], ["가을"]),
    ("뜨겁다의 반대말은 무엇인가요?", ["차갑", "차다", "찬"], []),
    ("물이 얼면 무엇이 되나요?", ["얼음"], ["수증기"]),
    ("한글을 만든 왕은 누구인가요?", ["세종"], ["정조"]),
    ("물의 화학식은 무엇인가요?", ["H2O", "H₂O"], ["CO2"]),
    ("우리가 사는 행성의 이름은 무엇인가요?", ["지구"], ["화성"]),
)
CHOICES = (
    ("다음 중 과일은 무엇인가요?", ["망치", "사과", "의자", "강물"], 1),
    ("다음 중 날 수 있는 것은 무엇인가요?", ["독수리", "말", "상어", "거북"], 0),
    ("다음 중 색깔은 무엇인가요?", ["화요일", "일곱", "보라색", "피아노"], 2),
    ("독일의 수도는 어디인가요?", ["뮌헨", "함부르크", "쾰른", "베를린"], 3),
    ("가장 큰 수는 무엇인가요?", ["12", "45", "39", "27"], 1),
    ("글씨를 쓸 때 사용하는 것은 무엇인가요?", ["베개", "연필", "접시", "장화"], 1),
    ("4월 다음 달은 무엇인가요?", ["3월", "6월", "8월", "5월"], 3),
    ("다음 중 채소는 무엇인가요?", ["당근", "숟가락", "구름", "신발"], 0),
)
TRANSLATIONS = (
    *(
        ("영어", "고양이", ["cat", "a cat"]),
        ("영어", "물", ["water"]),
        ("영어", "학교", ["school", "a school"]),
    ),
    *(
        ("영어", "감사합니다", ["thank you", "thanks"]),
        ("영어", "빨강", ["red"]),
        ("한국어", "dog", ["개", "강아지"]),
    ),
    *(("한국어", "house", ["집"]), ("한국어", "book", ["책"]), ("한국어", "friend", ["친구"])),
    *(("한국어", "bread", ["빵"]), ("한국어", "Monday", ["월요일"])),
)
MOODS = (
    *(("이 영화는 정말 감동적이고 최고였어요.", "긍정"), ("음식이 차갑고 직원이 불친절했습니다.", "부정")),
    *(("정말 멋진 선물이에요, 고맙습니다!", "긍정"), ("이틀 만에 고장 나서 실망했습니다.", "부정")),
    *(("방이 깨끗하고 전망이 훌륭했습니다.", "긍정"), ("다시는 여기서 사지 않겠습니다.", "부정")),
)
NOTES = (
    (
        "정오 전에 dana@harbour.example로 다나에게 메일을 보내 주세요.",
        "전자우편 주소",
        "dana@harbour.example",
    ),
    ("오 과장님과의 회의는 오후 세 시에 214호에서 열립니다.", "방 번호", "214"),
    ("지난 화요일에 수진이는 서울에서 제주로 갔습니다.", "사람 이름", "수진"),
    ("주문 번호는 88213이고 내일 발송됩니다.", "주문 번호", "88213"),
    ("역으로 가는 빨간 버스는 7:45에 출발합니다.", "시각", "7:45"),
)


def items() -> Iterator[Item]:
    for name, mark, highest, count in SUMS:
        stem = f"ko.arithmetic.{name}"
        yield from series(stem, sums(stem, mark, highest, count), _sum)
    yield from _dates()
    yield from _order()
    yield from _copying()
    yield from series(
        "ko.facts.plain", FACTS, lambda row: ask(row[0], rule("says", one_of=row[1], none_of=row[2]))
    )
    yield from series("ko.choice.four", CHOICES, _choice)
    yield from series(
        "ko.translate.word",
        TRANSLATIONS,
        lambda row: ask(
            f'"{row[1]}"을(를) {row[0]}로 번역하세요. 번역만 쓰세요.',
            rule("exactly", texts=row[2]),
            room=SHORT,
        ),
    )
    yield from _reading()


def _sum(row: tuple[int, str, int, int]) -> Draft:
    left, mark, right, result = row
    return ask(
        f"{left} {mark} {right}은(는) 얼마인가요? 숫자로만 답하세요.",
        rule("number", value=result, given=[left, right]),
        room=SHORT,
    )


def _dates() -> Iterator[Item]:
    yield from series("ko.dates.weekday", ((0, 1), (2, 2), (4, 3), (6, 1)), lambda row: _weekday(*row))
    yield from series(
        "ko.dates.after",
        ((date(2023, 3, 10), 5), (date(2024, 6, 28), 4), (date(2023, 12, 30), 3)),
        lambda row: _after(*row),
    )
    yield from series(
        "ko.dates.iso",
        (date(2021, 4, 9), date(2019, 11, 23), date(2024, 1, 5)),
        lambda day: ask(
            f"{day.year}년 {day.month}월 {day.day}일을 YYYY-MM-DD 형식으로만 쓰세요.",
            rule("exactly", texts=[day.isoformat()]),
        ),
    )
    yield from series(
        "ko.dates.facts",
        (("일주일은 며칠인가요?", 7), ("일 년은 몇 달인가요?", 12), ("하루는 몇 시간인가요?", 24)),
        lambda row: ask(f"{row[0]} 숫자로 답하세요.", rule("number", value=row[1], given=[1])),
    )


def _weekday(start: int, steps: int) -> Draft:
    right = DAYS[(start + steps) % 7]
    wrong = [day for day in DAYS if day not in (right, DAYS[start])]
    return ask(
        f"오늘은 {DAYS[start]}입니다. {steps}일 뒤는 무슨 요일인가요?",
        # 월요일 and 일요일 share letters, but neither is within the other.
        rule("says", one_of=[right], none_of=wrong),
    )


def _after(start: date, days: int) -> Draft:
    end = start + timedelta(days)
    return ask(
        f"{start.year}년 {start.month}월 {start.day}일에서 {days}일 뒤의 날짜만 쓰세요.",
        rule("day", year=end.year, month=end.month, day=end.day),
    )


def _order() -> Iterator[Item]:
    yield from series(
        "ko.sort.numbers",
        ((7, 2, 5), (31, 12, 25), (4, 9, 1, 6)),
        lambda row: ask(
            f"다음 수를 작은 것부터 큰 것 순서로만 쓰세요: {', '.join(map(str, row))}",
            rule("sequence", texts=[str(n) for n in sorted(row)]),
        ),
    )
    yield from series(
        "ko.sort.words",
        (("바다", "가방", "나무"), ("사과", "감자", "두부"), ("호수", "다리", "오리")),
        lambda row: ask(
            f"다음 낱말을 가나다순으로만 쓰세요: {', '.join(row)}", rule("sequence", texts=sorted(row))
        ),
    )
    yield from series(
        "ko.count.larger",
        ((17, 71), (230, 203), (1001, 999)),
        lambda row: ask(
            f"{row[0]}과(와) {row[1]} 중 더 큰 수를 숫자로만 쓰세요.",
            rule("number", value=max(row)),
            room=SHORT,
        ),
    )


def _copying() -> Iterator[Item]:
    yield from series(
        "ko.copy.text",
        ("파란 문이 열려 있었다.", "양 일곱 마리가 잔다.", "주문 4471-B가 준비되었습니다.", "언덕 위의 안개"),
        lambda text: ask(
            f"다음 문장을 그대로 따라 쓰고 다른 말은 쓰지 마세요: {text}", rule("exactly", texts=[text])
        ),
    )
    yield from series(
        "ko.copy.times",
        (("안녕", 3), ("예", 2), ("돌", 4)),
        lambda row: ask(
            f'"{row[0]}"라는 말을 띄어쓰기로 나누어 정확히 {row[1]}번만 쓰세요.',
            rule("repeated", text=row[0], times=row[1]),
        ),
    )
    yield from series(
        "ko.copy.first",
        ("빨강, 초록, 파랑", "오슬로, 리마, 카이로", "버스, 전차, 배"),
        lambda row: ask(
            f"목록: {row}. 목록의 첫 번째 것만 쓰세요.",
            rule("exactly", texts=[row.split(", ")[0]]),
            room=SHORT,
        ),
    )


def _choice(row: tuple[str, list[str], int]) -> Draft:
    question, options, right = row
    listed = "\n".join(f"{chr(65 + n)}) {text}" for n, text in enumerate(options))
    return ask(
        f"{question}\n{listed}\n기호 하나로만 답하세요.",
        rule("choice", letter=chr(65 + right), options=options),
        room=SHORT,
    )


def _reading() -> Iterator[Item]:
    yield from series(
        "ko.classify.mood",
        MOODS,
        lambda row: ask(
            f'이 후기는 긍정인가요, 부정인가요? "{row[0]}" 한 단어로 답하세요.',
            rule("says", one_of=[row[1]], none_of=[{"긍정": "부정"}.get(row[1], "긍정")]),
            room=SHORT,
        ),
    )
    yield from series(
        "ko.extract.one",
        NOTES,
        lambda row: ask(
            f'글: "{row[0]}"\n이 글에 나오는 {row[1]}만 쓰세요.',
            rule("says", one_of=[row[2]]),
            rule("words", most=6),
            room=MEDIUM,
        ),
    )
