"""How long a pair is, in the base's tokens, before anything is trained.

Trail: tuner/steps.py -> here
"""

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from feedback.errors import BadRequest
from feedback.records import Pair

MESSAGE_TOKENS = 8
"""What a chat template adds to one message, at most, in tokens."""


def token_counter(base: Path) -> Callable[[Pair], int]:
    """Counts a pair in the base's tokens, the template's own taken generously; the child counts exactly.

    Raises:
        BadRequest: The base has no tokenizer.json.
    """
    try:
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    except Exception as bad:  # the library raises bare Exception
        raise BadRequest(
            f"The base model in {base} has no readable tokenizer.json: {bad}.",
            "Set model.name to a model with a fast tokenizer.",
        ) from bad

    def count(pair: Pair) -> int:
        texts = [*(message.content for message in pair.messages), pair.response]
        encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
        return sum(len(text.ids) + MESSAGE_TOKENS for text in encoded)

    return count
