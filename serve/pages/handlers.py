"""How a page's handler is called: it names its role, learns who calls, and fails in sentences.

A handler is a method marked `@needs(role)` whose first parameter is the `Visit`; `Guard` makes of it
what Gradio calls. Gradio's check of the page is not enough: whoever can open a page can post to any
of its handlers, with any values. So who asks is decided anew for each call, and what they may touch
by the stores.
"""

import asyncio
import html
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import gradio as gr

from feedback.errors import HoneError
from feedback.records import Principal, Role
from serve.identity import Identity
from serve.pages.words import Language, language_of, say, say_error

log = logging.getLogger(__name__)
Step = TypeVar("Step", bound=Callable[..., Any])

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
"""What every event is wired with. Values are taken as the browser sent them: Gradio would check a choice
against the list it remembers for this tab, which it forgets when the server restarts."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One call of a handler: who calls, and in which language they read."""

    principal: Principal
    language: Language

    def say(self, key: str, **values: object) -> str:
        return say(self.language, key, **values)

    def trouble(self, error: HoneError) -> str:
        return say_error(self.language, error)

    def toast(self, key: str, **values: object) -> None:
        gr.Info(html.escape(self.say(key, **values)), duration=3)

    def warn(self, text: str) -> None:
        gr.Warning(html.escape(text), duration=8)


def needs(role: Role) -> Callable[[Step], Step]:
    """Mark a handler with the least role that may call it."""

    def mark(step: Step) -> Step:
        step.role = role  # type: ignore[attr-defined]
        return step

    return mark


class Guard:
    """Makes handlers callable by Gradio, for one page's visitors."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def __call__(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """`step` with its first parameter found from the request; plain functions run in a thread."""
        role: Role = step.role  # type: ignore[attr-defined]
        called = self._streaming(step, role) if inspect.isasyncgenfunction(step) else self._single(step, role)
        # Gradio tells requests and event data from inputs by the annotations it sees here.
        given = list(inspect.signature(step).parameters.values())[1:]
        request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
        called.__signature__ = inspect.Signature([request, *given])  # type: ignore[attr-defined]
        seen = {"request": gr.Request} | {p.name: p.annotation for p in given}
        called.__annotations__ = {name: hint for name, hint in seen.items() if hint is not request.empty}
        called.__name__ = step.__name__
        called.role = role  # type: ignore[attr-defined]
        return called

    def _single(self, step: Callable[..., Any], role: Role) -> Callable[..., Any]:
        async def called(request: gr.Request, *values: Any) -> Any:
            language = language_of(request)
            with _in_sentences(language):
                visit = await asyncio.to_thread(self._visit, request, role, language)
                if inspect.iscoroutinefunction(step):
                    return await step(visit, *values)
                return await asyncio.to_thread(step, visit, *values)

        return called

    def _streaming(self, step: Callable[..., Any], role: Role) -> Callable[..., Any]:
        async def called(request: gr.Request, *values: Any) -> AsyncIterator[Any]:
            language = language_of(request)
            with _in_sentences(language):
                visit = await asyncio.to_thread(self._visit, request, role, language)
                async with aclosing(step(visit, *values)) as shown:
                    async for outputs in shown:
                        yield outputs

        return called

    def _visit(self, request: gr.Request, role: Role, language: Language) -> Visit:
        return Visit(self._identity.require(request, role), language)


@contextmanager
def _in_sentences(language: Language) -> Iterator[None]:
    """Errors for people become a toast; anything else is logged and said to be our fault."""
    try:
        yield
    except HoneError as error:
        raise _toast(say_error(language, error)) from None
    except gr.Error:
        raise
    except Exception:
        log.exception("A page's handler failed")
        raise _toast(say(language, "unexpected")) from None


def _toast(text: str) -> gr.Error:
    return gr.Error(html.escape(text), title="Hone", print_exception=False)
