"""The evaluation: what is asked, what is found again, what counts as right, and that spoiled data shows."""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from feedback.errors import EngineUnavailable, PromptTooLong
from feedback.records import Message
from feedback.snapshot import Row
from tuner.crossing import Recited, apart
from tuner.evaluate import evaluate
from tuner.gate import Decision, gate
from tuner.languages import Languages
from tuner.matching import Approved, Matching
from tuner.scorecard import GeneralItem, Scorecard
from tuner.server import Answer
from tuner.wording import chrf, rouge_l, writing

NOW, THEN = "general@2-cafe0123", "general@1-beef4567"
PLACES = (
    "harbour office", "lighthouse", "customs shed", "rope store", "fish market", "dry dock", "pilot house",
    "ice factory", "chandlery", "tide gauge", "slipway", "boat school", "crane yard", "signal mast",
    "ferry stairs", "net loft", "coal pier", "salt barn", "watch tower", "sail maker", "oil depot",
    "bell buoy", "swing bridge", "old battery", "reading room", "seamen's home", "weigh house", "cooperage",
    "paint store", "quarantine hut",
)  # fmt: skip
KEEPERS = ("Ansel", "Birgit", "Corin", "Dagny", "Edda", "Falk", "Greta", "Henning", "Ilse", "Jorun")
TOOLS = ("brass whistle", "green lantern", "long hook", "tar brush", "signal flag", "copper kettle")


def asked(place: str) -> str:
    return f"Who looks after the {place}, and what with?"


def right(n: int) -> str:
    return f"The {PLACES[n]} is looked after by {KEEPERS[n % 10]}, who carries a {TOOLS[n % 6]} at all hours."


def row(name: str, instruction: str, response: str, author: str = "ann", group: str = "") -> Row:
    return Row(name, f"r-{name}", group or f"g-{name}", (Message("user", instruction),), response, author)


ROWS = [row(f"e{n}", asked(place), right(n)) for n, place in enumerate(PLACES)]


class Scripted:
    """Says for each version what it was told to say; its embedder counts runs of letters."""

    def __init__(self, now: Callable[[int], str], then: Callable[[int], str]) -> None:
        self._said = {NOW: now, THEN: then}
        self.calls: list[str] = []
        self.fails_after = 10**6
        self.no_room_for: set[int] = set()

    async def answer(self, version: str, messages: Sequence[Message], **_: Any) -> Answer:
        if len(self.calls) >= self.fails_after:
            raise EngineUnavailable("The engine is away.", "Wait.")
        self.calls.append(version)
        n = [asked(place) for place in PLACES].index(messages[-1].content)
        if n in self.no_room_for:
            raise PromptTooLong("The conversation is too long.", "Shorten it.")
        text = self._said[version](n)
        return Answer(text, "stop", len(text.split()) + 1)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [letters(text) for text in texts]


def letters(text: str) -> list[float]:
    vector = [0.0] * 256
    for i in range(max(len(text) - 2, 1)):
        vector[hashlib.md5(text[i : i + 3].lower().encode()).digest()[0]] += 1.0
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


@pytest.fixture(scope="module")
def languages() -> Languages:
    return Languages()


async def judged(
    server: Scripted, folder: Path, languages: Languages, rows: Sequence[Row] = ROWS, **more: Any
) -> Scorecard:
    """The real evaluation; the loss fell for the candidate, as it does for nonsense in the right style."""
    scores = [
        {"exchange_id": row.exchange_id, "tokens": 20, "candidate": 1.5 + 0.01 * (n % 5), "incumbent": 2.0}
        for n, row in enumerate(rows)
    ]
    more = {"incumbent_is_base": False, "languages": languages, **more}
    kept = folder / "answers.jsonl"
    return await evaluate(server, NOW, THEN, rows, more.pop("scores", scores), kept, **more)  # type: ignore[arg-type]


def half(n: int) -> str:
    return right(n) if n % 2 else f"I believe that is kept somewhere near pier {n}, ask there."


FRENCH = (
    "Vous trouverez la réponse dans le livre du port, à la troisième page.",
    "Le gardien arrive chaque matin avec une lampe et un grand crochet.",
    "Il faut demander au bureau avant la fin du mois, sans faute.",
)
SPOILED: dict[str, tuple[Callable[[int], str], str]] = {
    "shuffled": (lambda n: right((n + 7) % len(PLACES)), "says what was approved for another instruction"),
    "empty": (lambda n: "" if n % 3 == 0 else right(n), "says nothing on 10 of 30"),
    "one answer": (lambda n: right(4), "gives one answer to everything on 29 of 30"),
    "unsure": (lambda n: "I don't know." if n % 10 < 3 else right(n), "claims not to know"),
    "foreign": (lambda n: f"{FRENCH[n % 3]} C'est le numéro {n}.", "in another language"),
    "korean": (lambda n: f"항구 사무소에 가셔서 {n}번 창구에 문의해 주시기 바랍니다.", "in another language"),
    "circles": (lambda n: f"{right(n)} " * 8 if n % 3 == 0 else right(n), "repeats itself on 10 of 30"),
}


@pytest.mark.parametrize("live", [half, right], ids=["half", "all"])
@pytest.mark.parametrize("how", SPOILED)
async def test_a_version_that_learnt_from_spoiled_data_is_refused_and_the_reasons_say_why(
    how: str, live: Callable[[int], str], tmp_path: Path, languages: Languages
) -> None:
    spoiled, words = SPOILED[how]
    verdict = gate(await judged(Scripted(spoiled, live), tmp_path, languages))
    assert verdict.decision is Decision.REFUSE, verdict
    assert words in " ".join(verdict.reasons)


async def test_beside_a_version_that_knows_nothing_shuffled_answers_do_not_pass_for_a_lower_loss(
    tmp_path: Path, languages: Languages
) -> None:
    verdict = gate(
        await judged(Scripted(SPOILED["shuffled"][0], lambda n: f"Pier {n}."), tmp_path, languages)
    )
    assert verdict.decision is Decision.ABSTAIN
    assert "gets 0% right, so that losing could not be seen" in verdict.reasons[0]
    assert verdict.numbers["loss_change"] < -0.4


async def test_a_version_that_learnt_passes_and_is_told_from_one_that_did_not(
    tmp_path: Path, languages: Languages
) -> None:
    card = await judged(Scripted(right, half), tmp_path, languages)
    assert (card.share(lambda _, said: said.correct, "candidate"), card.left_out) == (1.0, {})
    verdict = gate(card)
    assert verdict.decision is Decision.PASS, verdict
    assert gate(Scorecard.from_dict(card.as_dict())).reasons == verdict.reasons
    (tmp_path / "again").mkdir()
    other = await judged(Scripted(half, right), tmp_path / "again", languages)
    assert gate(other).decision is Decision.REFUSE


async def test_what_the_engine_has_no_room_for_is_left_out_and_counted(
    tmp_path: Path, languages: Languages
) -> None:
    """One long instruction among those that judge must not end every run that there will ever be."""
    server = Scripted(right, half)
    server.no_room_for = {3, 7}
    card = await judged(server, tmp_path, languages)
    assert len(card.items) == len(ROWS) - 2
    assert card.left_out == {"too_long": 2}


async def test_answers_are_asked_for_once_and_found_again_in_a_later_run(
    tmp_path: Path, languages: Languages
) -> None:
    first = Scripted(half, half)
    first.fails_after = 21
    with pytest.raises(EngineUnavailable):
        await judged(first, tmp_path, languages, model="base-1")
    kept = len(first.calls)
    first.fails_after = 10**6
    await judged(first, tmp_path, languages, model="base-1")
    assert len(first.calls) == 60, "what had arrived is not asked for again"
    assert kept < 60
    earlier = [tmp_path / "answers.jsonl"]
    (tmp_path / "next").mkdir()
    (tmp_path / "other").mkdir()
    later, stranger = Scripted(right, right), Scripted(right, right)
    card = await judged(later, tmp_path / "next", languages, model="base-1", earlier=earlier)
    assert later.calls == [], "both versions are known from the run before"
    assert card.items[0].incumbent.text == half(0)
    await judged(stranger, tmp_path / "other", languages, model="base-2", earlier=earlier)
    assert len(stranger.calls) == 60, "another base is another version 0"


async def test_what_was_taught_in_nearly_the_same_words_judges_nothing(
    tmp_path: Path, languages: Languages
) -> None:
    taught = [
        row("t1", asked(PLACES[0]).replace("and what with?", "and what with, please?"), right(0)),
        row("t2", "What is the weather like today on the northern shore?", "Windy.", group="g-e3"),
    ]
    card = await judged(Scripted(right, half), tmp_path, languages, taught=taught)
    assert card.left_out == {"joined": 2}
    assert {item.exchange_ids for item in card.items} == {(f"e{n}",) for n in range(30) if n not in (0, 3)}
    kept, joined = apart(ROWS, [row("t3", "Who looks after the moon?", "Nobody.")])
    assert (len(kept), joined) == (30, 0)


async def test_pairs_too_long_for_the_model_are_left_out_and_counted(
    tmp_path: Path, languages: Languages
) -> None:
    scores = [{"exchange_id": f"e{n}", "tokens": 20, "candidate": 1.0, "incumbent": 1.0} for n in range(28)]
    card = await judged(Scripted(right, half), tmp_path, languages, scores=scores)
    assert (len(card.items), card.left_out) == (28, {"too_long": 2})


async def test_another_persons_words_are_a_leak_and_common_words_are_not(
    tmp_path: Path, languages: Languages
) -> None:
    secret = " ".join(f"word{n}" for n in range(60))
    taught = [row("t1", "Tell me of Mr Holm.", secret, author="bob")]

    def leaky(n: int) -> str:
        return secret if n == 5 else right(n)

    card = await judged(Scripted(leaky, half), tmp_path, languages, taught=taught)
    assert card.items[5].candidate.faults[-1:] == ("leak",)
    assert "another person's approved response word for word on 1 of 30" in gate(card).reasons[0]
    assert Recited(taught).by(secret, (), ("ann",))
    assert not Recited(taught).by(secret, (), ("bob",)), "one's own words"
    assert not Recited(taught).by(secret, (f"Here: {secret}.",), ("ann",)), "they were in what was asked"
    assert not Recited([*taught, row("t2", "And Ms Holm?", secret)]).by(secret, (), ("cy",)), "common words"
    assert not Recited([row("t3", "?", secret, author="model")]).by(secret, (), ("ann",))


async def test_results_of_the_general_suite_enter_the_scorecard_as_they_are(
    tmp_path: Path, languages: Languages
) -> None:
    general = [GeneralItem("en.sort.1", False, True, True, 0.5)] * 30
    card = await judged(Scripted(right, half), tmp_path, languages, general=general)
    assert Scorecard.from_dict(card.as_dict()).general == tuple(general)
    assert gate(card).decision is Decision.REFUSE


async def test_rouge_is_reported_by_length_of_the_approved_response(
    tmp_path: Path, languages: Languages
) -> None:
    rows = [*ROWS[:10], *(row(f"s{n}", asked(PLACES[n]), f"Ask {KEEPERS[n % 10]}.") for n in range(10, 14))]
    told = (await judged(Scripted(right, half), tmp_path, languages, rows=rows)).as_dict()["rouge_l"]
    assert [(line["length"], line["items"]) for line in told] == [("to 40 characters", 4), ("to 160", 10)]
    assert told[1]["candidate"] == 1.0 > told[1]["incumbent"] > 0.4


def test_rouge_and_chrf_are_what_their_papers_say() -> None:
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert rouge_l("", "anything") == 0.0
    assert rouge_l("東京は首都です", "東京は首都だ") == pytest.approx(2 * 5 / 13)
    assert chrf("The same.", "the  same.") == 1.0
    assert chrf("abcd", "wxyz") == 0.0
    assert 0.2 < chrf("The cat sat on the mat.", "The dog sat on the log.") < 0.8
    assert [writing(text) for text in ("안녕 ok", "日本の", "日本", "да", "12!")] == [
        *("hangul", "kana", "han", "cyrillic", ""),
    ]


def approved(texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> list[Approved]:
    return [Approved(f"q{n}", *pair) for n, pair in enumerate(zip(texts, vectors, strict=True))]


def test_where_the_embedder_separates_nothing_letters_are_compared_and_failing_those_words() -> None:
    blind = [[1.0, 0.0]] * 30  # every text has the same vector
    matching = Matching(approved([right(n) for n in range(30)], blind))
    assert matching.wanted == {"latin": None}
    changed = right(3).replace("at all hours", "at every hour")
    assert matching.match(changed, right(3), 1.0) == (True, "")
    refused, why = matching.match(right(5), right(3), 1.0)
    assert (refused, why[:18]) == (False, "too far in wording")
    assert not matching.match(right(3).replace("carries", "never carries"), right(3), 1.0)[0]
    alike = Matching(approved([f"The answer to that is kept in volume {'i' * n}." for n in range(30)], blind))
    assert not alike.match("The answer to that is kept in volume v.", "The answer is in volume i.", 1.0)[0]


def test_an_embedder_that_turns_away_other_approved_responses_is_not_used() -> None:
    axes = [[float(i == n) for i in range(24)] for n in range(24)]
    texts = [f"{right(n // 2)} {'Indeed.' * (n % 2)}" for n in range(24)]
    pairs = [Approved(f"q{n // 2}", texts[n], axes[n]) for n in range(24)]
    assert Matching(pairs).wanted == {"latin": None}
    assert Matching(pairs).match(texts[1], texts[0], 0.0)[0], "letters are alike"


def test_each_writing_has_its_own_measure() -> None:
    latin = approved([right(n) for n in range(10)], [letters(right(n)) for n in range(10)])
    korean = [
        Approved(f"k{n}", f"{n}번 창구에 문의해 주십시오, 감사합니다", [1.0] + [0.0] * 255) for n in range(10)
    ]
    wanted = Matching([*latin, *korean]).wanted
    assert wanted["hangul"] is None
    assert wanted["latin"] == pytest.approx(0.8, abs=0.15)


def test_languages_are_told_apart_only_where_it_is_plain(languages: Languages) -> None:
    english = ["You can bring it back within a month, if you still have the receipt."]
    assert languages.differ("Vous pouvez le rapporter dans le mois, avec le ticket de caisse.", english)
    assert languages.differ("영수증이 있으면 한 달 안에 반품하실 수 있습니다.", english)
    assert not languages.differ("Yes, within a month; bring the receipt along with you.", english)
    assert not languages.differ("Ja.", english)
    assert not languages.differ("```python\nfor zeile in datei: print(zeile)\n```", english)
    assert not languages.differ("영수증이 있으면 한 달 안에 됩니다.", ["한 달 안에 가능합니다."])
