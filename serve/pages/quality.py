"""How far reviewers can be relied on: their agreement, and for operators the exchanges with a known verdict.

A reviewer sees the figures of all together and their own agreement. How they did on gold items is told to
operators only: a figure that moves after a verdict would say which exchanges those are (decision 013).

Trail: serve/pages/review.py -> here -> feedback/agreement.py, feedback/golds.py
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from feedback import agreement, golds, lookup
from feedback.errors import BadRequest
from feedback.records import REASONS_DOWN, REASONS_UP, Exchange, Role
from serve.pages.cards import short, when
from serve.pages.handlers import Visit, needs
from serve.pages.tables import table
from serve.pages.words import Language, assistant_choices, reason_choices, say
from serve.parts import Parts

ANY = ""


class Quality:
    """Handlers of the tab; each answers with the whole of it, in the order of `View.relied`."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._assistants = parts.assistants

    @needs(Role.REVIEWER)
    def load(self, visit: Visit, assistant: str | None) -> tuple[Any, ...]:
        return self._view(visit, assistant)

    @needs(Role.OPERATOR)
    def reasons(self, visit: Visit, rating: str | None) -> Any:
        """The reasons that go with a thumb."""
        keys = {"up": REASONS_UP, "down": REASONS_DOWN}.get(rating or "", ())
        return gr.CheckboxGroup(choices=reason_choices(visit.language, keys), value=[])

    @needs(Role.OPERATOR)
    def add(self, visit: Visit, shown: str | None, *form: Any) -> tuple[Any, ...]:
        """Put an exchange with a known verdict among the others; then the form is empty again."""
        assistant, instruction, response, rating, reasons, comment, correction, expected, note = form
        if not (assistant and rating and expected):
            raise BadRequest(visit.say("gold_missing"))
        self._assistants.get(assistant)
        golds.add(
            self._store,
            visit.principal,
            assistant,
            instruction,
            response,
            expected=expected,
            rating=rating,
            reasons=reasons or (),
            comment=comment,
            correction=correction,
            note=note,
        )
        visit.toast("gold_added")
        return *self._view(visit, shown), "", "", [], "", "", ""

    @needs(Role.OPERATOR)
    def retire(self, visit: Visit, shown: str | None, exchange_id: str | None) -> tuple[Any, ...]:
        if not exchange_id:
            raise BadRequest(visit.say("gold_choose"))
        golds.retire(self._store, visit.principal, exchange_id)
        visit.toast("gold_retired")
        return self._view(visit, shown)

    def _view(self, visit: Visit, assistant: str | None) -> tuple[Any, ...]:
        known = assistant_choices(self._assistants.list())
        every = [(visit.say("all_assistants"), ANY), *known]
        figures = agreement.figures(self._store, assistant or None)
        operates = visit.principal.role.covers(Role.OPERATOR)
        accuracy = golds.accuracy(self._store) if operates else None
        listed = golds.listed(self._store) if operates else []
        asked = {e.id: e for e in lookup.load(self._store, [gold["exchange_id"] for gold in listed])}
        active = [gold["exchange_id"] for gold in listed if not gold["retired"]]
        choices = [(short(asked[identity].instruction), identity) for identity in active if identity in asked]
        return (
            gr.Dropdown(choices=every, value=assistant or ANY),
            figures_table(figures, accuracy, visit.principal.name, visit.language),
            gr.Column(visible=operates),
            golds_table(listed, asked, visit.language),
            gr.Dropdown(choices=choices, value=None),
            gr.Dropdown(choices=known, value=known[0][1]) if len(known) == 1 else gr.Dropdown(choices=known),
        )


def figures_table(
    figures: Mapping[str, Any], accuracy: Sequence[Mapping[str, Any]] | None, viewer: str, language: Language
) -> str:
    """The figures of all, then each reviewer's; without `accuracy` only the viewer's own."""
    alpha = figures["alpha"]
    told = f"{alpha:.2f}" if alpha is not None else say(language, "alpha_none")
    help = f"<small>{say(language, 'alpha_told')}</small>"
    parts = [
        f"<p>{say(language, 'agreed_exchanges', count=figures['exchanges'])}</p>",
        f"<p data-alpha><b>{say(language, 'alpha')}: {told}</b><br>{help}</p>",
    ]
    if figures["agreed"] is not None:
        parts.append(f"<p>{say(language, 'agreed_pairs', share=_percent(figures['agreed']))}</p>")
    return "".join(parts) + _reviewers(figures["reviewers"], accuracy, viewer, language)


def golds_table(
    listed: Sequence[Mapping[str, Any]], asked: Mapping[str, Exchange], language: Language
) -> str:
    """The gold items, the newest first, with what each reviewer thought of them."""
    if not listed:
        return f'<p class="empty">{say(language, "golds_none")}</p>'
    rows = [_gold(gold, asked.get(gold["exchange_id"]), language) for gold in listed]
    heads = ("instruction", "approved_words", "gold_expected", "gold_opinions", "gold_note", "gold_set")
    return table([say(language, key) for key in heads], rows)


def _reviewers(
    each: Sequence[Mapping[str, Any]],
    accuracy: Sequence[Mapping[str, Any]] | None,
    viewer: str,
    language: Language,
) -> str:
    compared = {row["reviewer"]: row for row in each}
    judged = {row["reviewer"]: row for row in accuracy or ()}
    names = (
        sorted({*compared, *judged})
        if accuracy is not None
        else [name for name in compared if name == viewer]
    )
    if not names:
        return f'<p class="empty">{say(language, "compared_none")}</p>'
    heads = [
        "reviewer",
        "compared",
        "agreed",
        *(["gold_judged", "gold_right"] if accuracy is not None else []),
    ]
    rows = []
    for name in names:
        met, gold = compared.get(name, {}), judged.get(name, {})
        row = [escape(name), str(met.get("compared", 0)), _percent(met.get("agreed"))]
        right = _percent(gold["correct"] / gold["judged"]) if gold else "–"
        rows.append(row + ([str(gold.get("judged", 0)), right] if accuracy is not None else []))
    return table([say(language, key) for key in heads], rows)


def _gold(gold: Mapping[str, Any], asked: Exchange | None, language: Language) -> list[str]:
    said = [
        f"<li>{escape(opinion['principal'])}: {say(language, opinion['verdict'])} "
        f"{'✓' if opinion['verdict'] == gold['expected'] else '✗'}</li>"
        for opinion in gold["opinions"]
    ]
    retired = f'<br><span class="state">{say(language, "gold_is_retired")}</span>' if gold["retired"] else ""
    return [
        escape(short(asked.instruction)) if asked else "–",
        escape(short(asked.proposed)) if asked else "–",
        say(language, gold["expected"]),
        f'<ul class="plain">{"".join(said)}</ul>' if said else "–",
        escape(gold["note"]),
        f"{escape(gold['principal'])}, {when(gold['at'])}{retired}",
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
