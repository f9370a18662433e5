"""The operate page's HTML of what the home keeps: its size and room, and what was erased. Text is escaped."""

import shutil
from collections.abc import Mapping
from html import escape
from typing import Any

from feedback import erased, store_file
from feedback.store import Store
from serve.pages.cards import when
from serve.pages.tables import table
from serve.pages.words import Language, say

ERASURES_SHOWN = 5
SCARCE = 0.05
"""The share of a disk that is too little to have left."""


def upkeep(store: Store, language: Language) -> str:
    """The store's size, what is free beside it, and the newest erasures."""
    disk = shutil.disk_usage(store.path.parent)
    sizes = {"store": store_file.size(store.path), "free": disk.free, "disk": disk.total}
    told = say(language, "upkeep_sizes", **{name: _bytes(value) for name, value in sizes.items()})
    facts = f'<p class="facts">{told}</p>'
    if disk.free < SCARCE * disk.total:
        facts += f'<p role="alert">{say(language, "upkeep_scarce")}</p>'
    newest = erased.listed(store, ERASURES_SHOWN)
    if not newest:
        return f'{facts}<p class="empty">{say(language, "erasures_none")}</p>'
    heads = [say(language, key) for key in ("erasure_asked", "erasure_what", "by", "erasure_finished")]
    return facts + table(heads, [_row(row, language) for row in newest])


def _row(row: Mapping[str, Any], language: Language) -> tuple[str, ...]:
    target = "" if row["scope"] != "user" else f" <code>{escape(row['target'])}</code>"
    finished = when(row["finished_at"]) or say(language, "erasure_waits")
    return when(row["at"]), say(language, f"erasure_{row['scope']}") + target, escape(row["by"]), finished


def _bytes(count: float) -> str:
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"
