"""One notice: its stable id, what it is about, and how it reads as JSON and as words. Sends nothing.

Holds kinds, names of assistants and versions, numbers and codes of ours: no user's words, no secret, no
reason that a person wrote.

Trail: hone/notices/keeper.py -> here -> hone/notices/texts.py
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from feedback.happenings import Happening
from feedback.records import now
from hone.notices.texts import NEXT, REASONS, SAID
from serve.pages.texts import TEXTS

_OURS = UUID("6f1d6e0c-8f0b-5d55-9a3e-3d2f6f1b7a10")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told; `id` is the same however often it is told, so that a receiver can drop repeats."""

    id: str
    kind: str
    at: str
    assistant: str = ""
    version: str = ""
    run: int | None = None
    step: str = ""
    share: float | None = None
    reasons: tuple[str, ...] = ()
    count: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> "Notice":
        return cls(**{**kept, "reasons": tuple(kept.get("reasons", ()))})


def of(happening: Happening) -> Notice:
    return Notice(
        happening.id,
        happening.kind,
        happening.at.isoformat(),
        assistant=happening.assistant,
        version=happening.version,
        run=happening.run,
        step=happening.step,
        share=happening.share,
        reasons=happening.reasons,
    )


def of_state(kind: str, began: datetime, **more: Any) -> Notice:
    """Of what is no event; its id is made from what it is and when it began."""
    return Notice(str(uuid5(_OURS, f"{kind} {began.isoformat()}")), kind, began.isoformat(), **more)


def of_test() -> Notice:
    at = now()
    return Notice(str(uuid5(_OURS, f"test {at.isoformat()}")), "test", at.isoformat())


def payload(notice: Notice, language: str, public_url: str) -> dict[str, Any]:
    """What is posted: `type`, `timestamp`, `data`, and the words for whatever shows them as they are."""
    about = {key: value for key, value in notice.as_dict().items() if value not in ("", None, (), [])}
    data = {key: about[key] for key in about if key not in ("id", "kind", "at")}
    data["link"] = link(public_url)
    head, body = words(notice, language)
    return {
        "type": notice.kind,
        "timestamp": notice.at,
        "data": {key: value for key, value in data.items() if value},
        "text": f"{head}. {body}" if body else f"{head}.",
    }


def words(notice: Notice, language: str) -> tuple[str, str]:
    """A line that says what happened, and the sentences after it, what to do among them."""
    place = 1 if language == "ko" else 0
    step = TEXTS.get(f"step_{notice.step}", (notice.step, notice.step))[place]
    head = SAID[notice.kind][place].format(
        assistant=notice.assistant,
        version=notice.version or "-",
        run=notice.run,
        step=step,
        share=f"{100 * (notice.share or 0):g} %",
        count=notice.count,
    )
    why = [REASONS[code][place] for code in dict.fromkeys(notice.reasons) if code in REASONS]
    return head, " ".join([*why, NEXT[notice.kind][place]]).strip()


def link(public_url: str) -> str:
    """The Operate page, where it is known how people reach it."""
    return f"{public_url.rstrip('/')}/operate/" if public_url else ""
