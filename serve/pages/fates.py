"""What became of an exchange, in a sentence for whoever said it. All text is escaped."""

from collections.abc import Mapping
from html import escape
from typing import Any

from serve.pages.words import Language, say, say_known


def fate(where: Mapping[str, Any], language: Language) -> str:
    """Where it is now, from `feedback/lineage.py`'s `where`."""
    told = {name: escape(str(value)) for name, value in where.items()}
    for name, prefix in (("side", "fate_side_"), ("version_state", "state_"), ("left_out", "left_")):
        told[name] = say_known(language, f"{prefix}{where.get(name)}", str(where.get(name) or ""))
    return f"<p data-fate={told['code']}>{say(language, 'fate_' + told['code'], **told)}</p>"
