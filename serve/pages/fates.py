"""What became of an exchange, in a sentence for whoever said it. All text is escaped."""

from collections.abc import Mapping
from html import escape
from typing import Any

from serve.pages.texts import TEXTS
from serve.pages.words import Language, say


def fate(where: Mapping[str, Any], language: Language) -> str:
    """Where it is now, from `feedback/lineage.py`'s `where`."""
    told = {name: escape(str(value)) for name, value in where.items()}
    told["side"] = _word("fate_side_", where.get("side"), language)
    told["version_state"] = _word("state_", where.get("version_state"), language)
    told["left_out"] = _word("left_", where.get("left_out"), language)
    return f"<p data-fate={told['code']}>{say(language, 'fate_' + told['code'], **told)}</p>"


def _word(prefix: str, key: Any, language: Language) -> str:
    """The word for a key, or, for one that the pages don't know, the key itself."""
    return say(language, f"{prefix}{key}") if f"{prefix}{key}" in TEXTS else escape(str(key or ""))
