"""The operate page's form for assistants: what one says, offers and is told, and making another.

What is saved is saved for the assistant whose fields were read, not for whichever is chosen by then.

Trail: serve/pages/operate.py -> here -> feedback/assistants.py
"""

import json
from dataclasses import replace
from typing import Any

import gradio as gr

from feedback.records import Assistant, Role
from serve.pages.handlers import QUIET, Guard, Visit, needs
from serve.pages.words import assistant_choices, label
from serve.parts import Parts

LINES = {"title": 1, "domain": 1, "greeting": 2, "notice": 2, "examples": 4, "system_prompt": 6}
"""The fields in the order of the form, with the lines that each is given."""
FILL = "(whose) => { honeFill(whose); }"
"""What was being written when the page was loaded anew is there again (keeping.js)."""


class Form:
    """The components, under a head that opens them; `chosen` is the page's list of assistants."""

    def __init__(self, chosen: gr.Dropdown) -> None:
        self._chosen = chosen
        with gr.Accordion(label("assistants"), open=False, elem_id="assistants") as self._head:
            self._fields = [
                gr.Textbox(
                    label=label(f"assistant_{name}"),
                    info=label(f"assistant_{name}_told"),
                    lines=lines,
                    max_lines=3 * lines,
                    elem_id=f"assistant-{name.replace('_', '-')}",
                )
                for name, lines in LINES.items()
            ]
            self._save = gr.Button(label("assistant_save"), elem_id="assistant-save", size="sm")
            with gr.Row(equal_height=True):
                self._name = gr.Textbox(
                    label=label("assistant_name"),
                    info=label("assistant_name_told"),
                    max_lines=1,
                    elem_id="assistant-name",
                    scale=3,
                )
                self._make = gr.Button(label("assistant_make"), elem_id="assistant-make", min_width=140)
        self._whose = gr.Textbox(visible="hidden", elem_id="assistant-whose")
        self._read = gr.Textbox(visible="hidden", elem_id="assistant-read")

    def wire(self, guard: Guard, desk: "Desk") -> Any:
        """Wire the form; the event that is returned chooses another assistant by having made it."""
        filled = [self._whose, self._read, *self._fields]
        once: dict[str, Any] = {"trigger_mode": "once", **QUIET}
        asked = [self._chosen, self._whose]
        # At its change, so that a head which was opened before the page knew of whom is filled too.
        shown = [self._head.expand, self._chosen.change]
        read = gr.on(shown, guard(desk.read), asked, filled, trigger_mode="always_last", **QUIET)
        read.then(None, self._whose, None, js=FILL)
        self._save.click(guard(desk.save), filled, [self._chosen, *filled], **once)
        return self._make.click(guard(desk.make), self._name, [self._name, self._chosen, *filled], **once)


class Desk:
    """Handlers of the form; each answers with whose fields they are, what was read of them, and they."""

    def __init__(self, parts: Parts) -> None:
        self._assistants = parts.assistants

    @needs(Role.OPERATOR)
    def read(self, visit: Visit, name: str | None, whose: str = "") -> tuple[Any, ...]:
        """The fields of the one that is chosen; what is being written about the same one stays."""
        if not name or name == whose:
            return (gr.skip(),) * (2 + len(LINES))
        return _filled(self._assistants.get(name))

    @needs(Role.OPERATOR)
    def save(self, visit: Visit, name: str, read: str, *said: str) -> tuple[Any, ...]:
        """Save what was changed since it was `read`; all else may have been changed by others."""
        before = json.loads(read or "{}")
        given = zip(LINES, (text.strip() for text in said), strict=True)
        fields: dict[str, Any] = {field: text for field, text in given if text != before.get(field)}
        if "examples" in fields:
            fields["examples"] = tuple(filter(None, map(str.strip, fields["examples"].splitlines())))
        wanted = replace(self._assistants.get(name), **fields)
        saved = self._assistants.edit(wanted, visit.principal.name)
        visit.toast("assistant_saved", name=name)
        return gr.Dropdown(choices=assistant_choices(self._assistants.list())), *_filled(saved)

    @needs(Role.OPERATOR)
    def make(self, visit: Visit, name: str) -> tuple[Any, ...]:
        """Another, with no words of its own yet; it is chosen, so that they can be written."""
        made = self._assistants.add(Assistant(name.strip()), visit.principal.name)
        visit.toast("assistant_made", name=made.name)
        known = assistant_choices(self._assistants.list())
        return "", gr.Dropdown(choices=known, value=made.name), *_filled(made)


def _filled(known: Assistant) -> tuple[str, ...]:
    said = {name: getattr(known, name) for name in LINES}
    said["examples"] = "\n".join(" ".join(example.split()) for example in known.examples)
    return known.name, json.dumps({field: text.strip() for field, text in said.items()}), *said.values()
