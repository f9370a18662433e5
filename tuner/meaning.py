"""Whether an answer means what an approved response means.

Embeddings say how near two texts are, but give opposites and changed numbers high marks, so an answer
must also pass hard checks: numbers, negation, code, refusal. The texts alone decide those; vectors
are handed in. Knows nothing of versions, servers or verdicts.

Trail: tuner/matching.py -> here -> tuner/evaluate.py
"""

import ast
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from feedback.agree import LIST_MARK
from tuner.wording import plain

LOWEST_NEARNESS = 0.80
"""Cosine below which no answer counts as meaning the same, however well the embedder separates."""
HIGHEST_NEARNESS = 0.95
"""Cosine beyond which nearness cannot be asked for; an embedder that would need more is not used."""
FALSE_ACCEPTS = 0.05


def _words(text: str) -> list[str]:
    return text.split()


WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[가-힣]+|\d+")
DIGITS = re.compile(
    r"(?<![A-Za-z\d.])(?<![A-Za-z]-)"  # not within a name such as COVID-19 or v1.5
    r"(-?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)\s?([%°]|[A-Za-zµ]+\b)?"
)
UNITS = frozenset(_words("% ° mcg µg mg g kg ml l mm cm m km min minute hour day week month year"))
NUMBER_WORDS = {
    word: Decimal(value)
    for value, word in enumerate(
        _words(
            "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen twenty"
        ),
        start=2,
    )
} | {"thirty": Decimal(30), "forty": Decimal(40), "fifty": Decimal(50), "sixty": Decimal(60)}

NOT = frozenset(_words("not no never without none neither nor nothing nobody"))
IRREGULAR = {"ca": "can", "wo": "will", "sha": "shall"}
HEDGES = frozenset(_words("only just necessarily always"))
EMPTY_WORDS = frozenset(
    _words(
        "a an the to be is are was were am been being do does did done have has had will would shall "
        "should can could may might must of in on at by for with and or but if that this these those it "
        "its i you he she we they your my our their any ever also very really please so as than then "
        "there need"
    )
)
KOREAN_NOT = re.compile(r"않|(?<!잘)못|아니|없|(?<![가-힣])안\s|지\s?(?:마|말)")
KOREAN = re.compile(r"[가-힣]")
SHORT_KOREAN = 120
PYTHON = ("python", "py")
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
REFUSAL = re.compile(
    r"^\W*(?:i['’]?m (?:very )?sorry|i am (?:very )?sorry|sorry,"
    r"|i can(?:['’]?t|not) (?:help|assist|do|provide|answer)"
    r"|i(?:['’]m| am) (?:not able|unable|not sure)|as an ai|죄송"
    r"|i (?:do not|don['’]t|really don['’]t) know|i have no idea|(?:저는 |잘 )?모르겠)",
    re.IGNORECASE,
)


def means(answer: str, reference: str, nearness: float, wanted: float | None) -> tuple[bool, str]:
    """Whether the answer means the reference, and if not, why; `nearness` is their cosine.

    `wanted` is the least cosine, or None where the embedder cannot tell meanings apart here: then
    only equal words, equal numbers or a short reference inside the answer count.
    """
    if answer.strip() == reference.strip() != "":
        return True, ""
    against = conflict(answer, reference)
    if against:
        return False, against
    said, meant = plain(answer), plain(reference)
    if said == meant != "":
        return True, ""
    few_words = len(meant.split()) <= 3 and len(said.split()) <= 40
    if _is_number(meant) or (few_words and f" {meant} " in f" {said} "):
        return True, ""  # there is no conflict, so a number that was wanted is in it
    if wanted is None:
        return False, "worded differently, and nearness of meaning is not measured here"
    return nearness >= wanted, "" if nearness >= wanted else f"too far in meaning ({nearness:.2f})"


def conflict(answer: str, reference: str) -> str:
    """What makes an answer wrong however near it lies to the reference, or nothing."""
    if not answer.strip():
        return "empty"
    if is_refusal(answer) != is_refusal(reference):
        return "refuses" if is_refusal(answer) else "does not refuse"
    structure = _json(reference)
    if structure is not None:
        return "" if _json(answer) == structure else "is not the same JSON"
    said, meant = FENCE.sub("", answer), FENCE.sub("", reference)
    return _code(answer, reference) or _number_conflict(said, meant) or _negation_conflict(said, meant)


def is_refusal(text: str) -> bool:
    return bool(REFUSAL.search(text.strip()))


def calibrate(vectors: Sequence[Sequence[float]], questions: Sequence[str]) -> float | None:
    """The least cosine that lets at most 5% of answers to *other* questions through.

    `questions[i]` says which question vector i answers. None where that would take more than
    `HIGHEST_NEARNESS`: this embedder cannot tell these meanings apart.
    """
    if len(set(questions)) < 2:
        return LOWEST_NEARNESS
    matrix = np.asarray(vectors)
    places = {question: place for place, question in enumerate(dict.fromkeys(questions))}
    asked = np.asarray([places[question] for question in questions])
    other = asked[:, None] != asked[None, :]
    impostors = (matrix @ matrix.T)[other]
    needed = float(np.quantile(impostors, 1 - FALSE_ACCEPTS))
    return None if needed > HIGHEST_NEARNESS else max(needed, LOWEST_NEARNESS)


def repetition(text: str) -> float:
    """Share of a text's runs of four words (of twelve letters where words are unspaced) that came before."""
    words: Sequence[Any] = text.split()
    size = 4
    if len(words) * 12 < len(text):
        words, size = text, 12
    runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    return 1 - len(set(runs)) / len(runs) if len(runs) >= 8 else 0.0


def numbers(text: str) -> dict[Decimal, set[str]]:
    """The numbers written in digits, each with the units that follow it; list marks are not numbers."""
    found: dict[Decimal, set[str]] = {}
    for sign, digits, unit in DIGITS.findall(LIST_MARK.sub("", text)):
        value = Decimal(digits.replace(",", "")) * (-1 if sign else 1)
        found.setdefault(value.normalize(), set()).update({unit.lower().rstrip("s")} & UNITS)
    return found


def _number_conflict(answer: str, reference: str) -> str:
    said, meant = numbers(answer), numbers(reference)
    said_words, meant_words = _number_words(answer), _number_words(reference)
    all_said, all_meant = said_words | set(said), meant_words | set(meant)
    missing = sorted(set(meant) - all_said)
    if all_said - all_meant:  # a number word left out is no conflict by itself: "the two parties"
        missing += sorted(meant_words - all_said)
    if missing:
        return f"lacks the number {missing[0]:f}"
    extra = sorted(set(said) - all_meant)
    if all_meant and extra:
        return f"has the number {extra[0]:f}, which the approved response has not"
    for value in set(said) & set(meant):
        if said[value] and meant[value] and not said[value] & meant[value]:
            return f"has another unit at {value:f}"
    return ""


def _number_words(text: str) -> set[Decimal]:
    return {NUMBER_WORDS[word] for word in WORD.findall(text.lower()) if word in NUMBER_WORDS}


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d[\d.,]*", text))


def _negation_conflict(answer: str, reference: str) -> str:
    lead, wanted = _lead(answer), _lead(reference)
    if lead and wanted and lead != wanted:
        return f"says {lead} where the approved response says {wanted}"
    both = (answer, reference)
    if all(KOREAN.search(text) and len(text) <= SHORT_KOREAN for text in both):
        odd = {len(KOREAN_NOT.findall(text)) % 2 for text in both}
        return "says the opposite (a negation more or less)" if len(odd) == 2 else ""
    said, meant = _polarity(answer), _polarity(reference)
    for denied, other in ((said, meant), (meant, said)):
        turned = sorted(word for word in denied[1] if word in other[0] and word not in other[1])
        if turned:
            return f"says the opposite about “{turned[0]}”"
    return ""


def _lead(text: str) -> str:
    found = re.match(r"\W*(yes|no|예|네|아니요)\b", text.strip(), re.IGNORECASE)
    return {"예": "yes", "네": "yes", "아니요": "no"}.get(found[1], found[1].lower()) if found else ""


def _polarity(text: str) -> tuple[set[str], set[str]]:
    """Content words that the text affirms, and those that it denies, crudely stemmed."""
    words = _spelt_out(re.sub(r"^\W*(?:yes|no)\b", "", text.strip(), flags=re.IGNORECASE))
    affirmed: set[str] = set()
    denied: set[str] = set()
    reach = 0
    for i, word in enumerate(words):
        if word in NOT and not (i + 1 < len(words) and words[i + 1] in HEDGES):
            reach = 4
            continue
        content = word not in EMPTY_WORDS and word not in NOT
        if content:
            (denied if reach > 0 else affirmed).add(_stem(word))
        reach = 0 if content else reach - 1
    return affirmed, denied


def _spelt_out(text: str) -> list[str]:
    words: list[str] = []
    for word in WORD.findall(text.lower().replace("’", "'")):
        if word == "cannot" or word.endswith("n't"):
            verb = word.removesuffix("n't").removesuffix("not")
            words += [IRREGULAR.get(verb, verb), "not"]
        else:
            words.append(word.removesuffix("'s"))
    return words


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "ly", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word[:6]


def _code(answer: str, reference: str) -> str:
    blocks, meant = FENCE.findall(answer), FENCE.findall(reference)
    if meant and not blocks:
        return "has no code"
    python = any(language.lower() in PYTHON for language, _ in meant)
    if python and not all(_parses(code) for language, code in blocks if language.lower() in (*PYTHON, "")):
        return "has code that does not parse"
    return ""


def _json(text: str) -> Any:
    """The JSON object or list that a text is, alone or in one fence; None where it is none."""
    fence = FENCE.fullmatch(text.strip())
    body = (fence[2] if fence else text).strip()
    if not body.startswith(("{", "[")):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
