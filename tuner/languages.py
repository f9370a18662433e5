"""Whether an answer is in another language than what was approved: py3langid, asked only when it is plain.

Short texts, code and names say nothing. The model takes about 90 MB while an instance lives.

Trail: tuner/evaluate.py -> here -> tuner/wording.py
"""

from collections.abc import Sequence

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from tuner.meaning import FENCE
from tuner.wording import writing

LEAST_LETTERS = 20
"""Letters below which a text says nothing of its language."""
SURE = 15.0
"""Log-likelihood by which another language must explain the text better."""
UNSPACED = ("hangul", "kana", "han", "thai")
LEAST_UNSPACED = 6


class Languages:
    """Tells languages apart."""

    def __init__(self) -> None:
        self._known = LanguageIdentifier.from_model_file(MODEL_FILE)

    def differ(self, answer: str, references: Sequence[str]) -> bool:
        """Whether the answer is plainly in a language that no reference is in."""
        said = FENCE.sub("", answer).strip()
        meant = [FENCE.sub("", text).strip() for text in references]
        if not _tells(said) or not all(map(_tells, meant)):
            return False
        if writing(said) not in {writing(text) for text in meant}:
            return True
        scores = dict(self._known.rank(said))
        best = max(scores.values())
        wanted = {self._known.rank(text)[0][0] for text in meant}
        return all(best - scores[language] > SURE for language in wanted)


def _tells(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return letters >= (LEAST_UNSPACED if writing(text) in UNSPACED else LEAST_LETTERS)
