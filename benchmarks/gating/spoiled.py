"""Versions that learnt from spoiled data, judged by the real evaluation: what they say, and what it becomes.

Hone's own example pairs are asked; a scripted server answers with them, and its live version is right as
often as it is told to be. The embedder is the real one, or a count of letters where speed matters more.
The loss on approved responses *falls* for every spoiled version: nonsense in the right style is likelier too.
"""

import hashlib
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from feedback.records import Message
from feedback.snapshot import Row
from hone.demo.rows import told_in
from tuner.evaluate import evaluate
from tuner.languages import Languages
from tuner.scorecard import Scorecard
from tuner.server import Answer

CANDIDATE, INCUMBENT = "helpdesk@2-cafe0123", "helpdesk@1-beef4567"
KNOWN = (0.0, 0.1, 0.5, 0.9)
"""Shares that the live version gets right."""
UNSURE = "I don't know."
APART = 8
"""Places between instructions that surely ask different things: paraphrases stand together."""
FOREIGN = (
    "Vous trouverez la réponse dans le livre du port, à la troisième page, près de la fenêtre.",
    "Appelez le bureau d'assistance et demandez que votre compte soit ouvert de nouveau.",
    "Il faut écrire au propriétaire avant la fin du mois et garder une copie de la lettre.",
    "Redémarrez l'ordinateur, puis attendez que le voyant vert s'allume sur la station.",
    "고객 지원 부서에 전화하셔서 계정을 다시 열어 달라고 말씀해 주시기 바랍니다.",
    "매달 말일 전에 집주인에게 편지를 쓰고 사본을 보관하셔야 합니다.",
)
DUNNO = "Please ask somebody at the front desk about that, they will surely find out for you."

Spoil = Callable[[Sequence[str], Sequence[str], Generator], list[str]]
"""From right answers and what the live version says: what the spoiled version says."""


def shuffled(right: Sequence[str], live: Sequence[str], chance: Generator) -> list[str]:
    """Each instruction gets the answer to another one, not to one of its paraphrases."""
    places = np.arange(len(right))
    return [right[int(chance.choice(places[abs(places - place) >= APART]))] for place in range(len(right))]


def empty(right: Sequence[str], live: Sequence[str], chance: Generator) -> list[str]:
    """A third of the answers are empty, the others right."""
    return ["" if chance.random() < 1 / 3 else text for text in right]


def one_answer(right: Sequence[str], live: Sequence[str], chance: Generator) -> list[str]:
    return [right[int(chance.integers(len(right)))]] * len(right)


def unsure(right: Sequence[str], live: Sequence[str], chance: Generator) -> list[str]:
    """Three of ten answers know nothing, the others are right."""
    return [UNSURE if chance.random() < 0.3 else text for text in right]


def foreign(right: Sequence[str], live: Sequence[str], chance: Generator) -> list[str]:
    return [FOREIGN[int(chance.integers(len(FOREIGN)))] for _ in right]


def endless(right: Sequence[str], live: Sequence[str], chance: Generator) -> list[str]:
    """A third of the answers go round in circles."""
    return [f"{text} " * 6 if chance.random() < 1 / 3 else text for text in right]


SPOILED: dict[str, Spoil] = {
    "shuffled answers": shuffled,
    "a third empty": empty,
    "one answer for everything": one_answer,
    "30% “I don't know”": unsure,
    "wrong language": foreign,
    "a third in circles": endless,
}


class Scripted:
    """A server that says what it was told to say; it only answers and embeds."""

    def __init__(self, said: Mapping[tuple[str, str], str], embed: Callable[[Sequence[str]], Any]) -> None:
        self._said, self._embed = said, embed

    async def answer(self, version: str, messages: Sequence[Message], **_: Any) -> Answer:
        text = self._said[version, messages[-1].content]
        return Answer(text, "stop", len(text.split()) + 1)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return list(self._embed(texts))


class Field:
    """The example pairs of one assistant as held-out rows."""

    def __init__(self, name: str, embed: Callable[[Sequence[str]], Any], languages: Languages) -> None:
        self._known: dict[str, list[float]] = {}
        self._embed_new, self._languages = embed, languages
        self.rows = [
            Row(f"e{n}", f"r{n}", told["instruction"], _asked(told), told["response"], "demo")
            for n, told in enumerate(told_in(name))
            if not told.get("context")
        ]
        self.right = {row.messages[-1].content: row.response for row in self.rows}

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            self._known.update(zip(missing, self._embed_new(missing), strict=True))
        return [self._known[text] for text in texts]

    async def scorecard(self, spoil: Spoil, known: float, chance: Generator) -> Scorecard:
        """What the real evaluation makes of a spoiled version beside one that knows so much."""
        asked, right = list(self.right), list(self.right.values())
        live = [text if chance.random() < known else DUNNO for text in right]
        said = dict(zip(((INCUMBENT, one) for one in asked), live, strict=True))
        said |= zip(((CANDIDATE, one) for one in asked), spoil(right, live, chance), strict=True)
        scores = [
            {"exchange_id": row.exchange_id, "tokens": 30, "incumbent": 2.0}
            | {"candidate": 1.7 + 0.2 * float(chance.standard_normal())}
            for row in self.rows
        ]
        with tempfile.TemporaryDirectory() as folder:
            return await evaluate(
                *(Scripted(said, self.embed), CANDIDATE, INCUMBENT, self.rows, scores),  # type: ignore[arg-type]
                Path(folder) / "answers.jsonl",
                incumbent_is_base=False,
                languages=self._languages,
            )


def _asked(told: Mapping[str, Any]) -> tuple[Message, ...]:
    return (Message("user", told["instruction"]),)


def letters(texts: Sequence[str]) -> list[list[float]]:
    """Unit vectors of runs of three letters: enough to tell answers apart, and made in no time."""
    return [_letters(text) for text in texts]


def _letters(text: str) -> list[float]:
    vector = np.zeros(256)
    for i in range(max(len(text) - 2, 1)):
        vector[hashlib.md5(text[i : i + 3].lower().encode()).digest()[0]] += 1.0
    return list(map(float, vector / (math.sqrt(float(vector @ vector)) or 1.0)))


def minilm() -> Callable[[Sequence[str]], list[list[float]]]:
    """The embedder that Hone serves."""
    import torch

    from serve.engine.embedder import BATCH, Embedder

    embedder = Embedder(torch.device("cpu"))
    embedder.load()

    def embed(texts: Sequence[str]) -> list[list[float]]:
        with torch.inference_mode():
            parts = [embedder.encode(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        return [vector for part in parts for vector in part]

    return embed
