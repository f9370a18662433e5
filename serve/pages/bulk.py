"""One verdict on several exchanges, and a line that says what came of each.

Each is claimed, judged and let go by itself, under every rule of a single verdict. What is judged are the
words that stood in the list: where others are proposed by now, or somebody has judged it, that one is
refused. Nothing is approved that the list did not show whole.

Trail: serve/pages/desk.py -> here -> feedback/claims.py, feedback/review.py
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from feedback import claims, queue, review
from feedback.errors import BadRequest, Conflict, HoneError
from feedback.policy import Policy
from feedback.queue import Item
from feedback.records import Principal
from feedback.review import Verdict
from feedback.store import Store
from serve.pages import cards
from serve.pages.words import Language, say, say_error

MOST = 100
STATES = ("approved", "rejected", "skipped", "waiting")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one: the state it is in now, or why its verdict was refused."""

    name: str
    state: str = ""
    refused: HoneError | None = None


def read(ticked: str) -> list[tuple[str, str]]:
    """What is ticked, sent as a JSON list of `[exchange id, mark of its words]`.

    Raises:
        BadRequest: None is ticked, or more than `MOST`.
    """
    try:
        found = [(str(exchange_id), str(words)) for exchange_id, words in json.loads(ticked or "[]")]
    except (ValueError, TypeError):
        raise BadRequest("That is no list of ticks.", "Reload the page.") from None
    if not found:
        raise BadRequest("Nothing is ticked.", "Tick what you mean in the queue.")
    if len(found) > MOST:
        raise BadRequest(f"{len(found)} are ticked, and {MOST} at most go at once.", "Tick fewer.")
    return found


def judge(
    store: Store,
    principal: Principal,
    policy: Policy,
    asked: Sequence[tuple[str, str]],
    verdict: Verdict,
    reason: str,
    came: list[Result],
) -> None:
    """The verdict on each of `asked` in turn; what comes of each is put into `came` at once."""
    for exchange_id, words in asked:
        came.append(_judge(store, principal, policy, exchange_id, words, verdict, reason))


def under_way(done: int, count: int, language: Language) -> str:
    """How far many verdicts have come."""
    said = say(language, "bulk_under_way", done=done, count=count)
    bar = f'<div class="bar"><div style="width: {100 * done // count}%"></div></div>'
    return f'<section role="status"><p>{said}</p>{bar}</section>'


def told(results: Sequence[Result], language: Language) -> str:
    """How many are in which state now; which were refused, and why."""
    counts = Counter(result.state for result in results if not result.refused)
    done = [say(language, f"bulk_{state}", count=counts[state]) for state in STATES if counts[state]]
    refused = [result for result in results if result.refused]
    said = f"<p>{', '.join(done)}.</p>" if done else ""
    if refused:
        items = "".join(_refusal(result, language) for result in refused)
        said += f"<p>{say(language, 'bulk_refused', count=len(refused))}</p><ul>{items}</ul>"
    return f'<section role="status">{said}</section>'


def _judge(
    store: Store,
    principal: Principal,
    policy: Policy,
    exchange_id: str,
    words: str,
    verdict: Verdict,
    reason: str,
) -> Result:
    name = exchange_id
    try:
        name = cards.short(queue.item(store, principal, policy, exchange_id).exchange.instruction)
        # Under a claim nobody else can judge it or change its words between the look and the verdict.
        claim = claims.take(store, principal, exchange_id, policy)
        try:
            item = queue.item(store, principal, policy, exchange_id)
            under: dict[str, Any] = {"response": _listed(item, words, verdict), "claim": claim.id}
            done = review.review(
                store, principal, exchange_id, verdict, reason=reason, policy=policy, **under
            )
        except HoneError:
            claims.release(store, principal, claim.id)
            raise
    except HoneError as refused:
        return Result(name, refused=refused)
    return Result(name, state="skipped" if verdict == "skip" else done.state)


def _listed(item: Item, words: str, verdict: Verdict) -> str | None:
    """The words to approve, if they stood in the list and nothing that matters did not."""
    if verdict != "skip" and cards.words_mark(item.proposed) != words:
        raise Conflict("The proposed answer is not the one that was listed.", "Look at it by itself.")
    if verdict != "approve":
        return None
    if not cards.whole(item):
        raise BadRequest("The list does not show all there is to it.", "Open it to approve it.")
    return item.proposed


def _refusal(result: Result, language: Language) -> str:
    why = say_error(language, result.refused) if result.refused else ""
    return f"<li><b>{escape(result.name)}</b> {escape(why)}</li>"
