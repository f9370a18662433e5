"""What is spared of Gradio's work changes nothing of what people see."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.queueing import Queue
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder

from serve.pages.operate import Desk
from serve.pages.operate_layout import QUICK, SLOW
from serve.pages.thrift import Grown, OneState, Page, Settled, WokenQueue
from serve.pages.turns import SHOW_EVERY, pace

MESSAGES = [{"role": "user", "content": "Hi", "metadata": {"id": "1"}}]


IMPORT = """
import sys
opened = []
sys.addaudithook(lambda event, told: opened.append(str(told[0])) if event == "open" else None)
import serve.pages
from gradio import component_meta
print(hasattr(component_meta, "create_or_modify_pyi"), [name for name in opened if name.endswith(".pyi")])
"""


def test_gradio_is_imported_without_its_editors_stubs() -> None:
    told = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "True []"


def page() -> tuple[Page, Any]:
    """A page with one event that sets components of the kinds that the chat sets."""
    with Page(analytics_enabled=False) as made:
        outputs = [gr.Chatbot(), gr.Textbox(), gr.Button("Send"), gr.Radio(["a"]), gr.Checkbox()]
        gr.Button().click(lambda: None, None, outputs)
    return made, next(iter(made.fns.values()))


SHOWN: list[Any] = [
    (MESSAGES, gr.skip(), gr.skip(), gr.skip(), gr.skip()),
    (gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()),
    (gr.skip(), "typed", gr.Button(visible=False), gr.skip(), True),
    (gr.Chatbot(value=MESSAGES, feedback_value=["Like"]), "", gr.Button("Stop"), gr.Radio(["b"]), False),
    gr.skip(),
]


@pytest.mark.parametrize("told", SHOWN, ids=range(len(SHOWN)))
async def test_a_page_is_told_what_gradio_would_tell_it(told: Any) -> None:
    made, event = page()
    made.create_limiter()
    given = list(told) if isinstance(told, tuple) else told
    spared = await made.postprocess_data(event, given, SessionState(made))
    assert spared == await gr.Blocks.postprocess_data(made, event, given, SessionState(made))


async def test_a_chat_that_grows_is_told_as_gradio_would_tell_the_whole_of_it() -> None:
    made, event = page()
    made.create_limiter()
    settled = Settled(MESSAGES * 2)
    for text in ("…", "One `<b>`", "  One\n    `<b>`\n two", "# A\n\n```py\n  x = 1\n```\n"):
        last = {"role": "assistant", "content": text, "metadata": {"id": "2"}}
        spared = await made.postprocess_data(
            event, [Grown(settled, last), *[gr.skip()] * 4], SessionState(made)
        )
        whole = [[*MESSAGES * 2, last], *[gr.skip()] * 4]
        assert spared == await gr.Blocks.postprocess_data(made, event, whole, SessionState(made))


async def test_a_generator_goes_on_to_its_end_as_gradio_has_it() -> None:
    async def counting() -> AsyncIterator[int]:
        yield 1
        raise ValueError("two")

    with Page(analytics_enabled=False) as made:
        gr.Button().click(counting, None, [gr.Number(), gr.Number()])
    event = next(iter(made.fns.values()))
    told = [dict(await kind.call_function(made, event, [], counting())) for kind in (Page, gr.Blocks)]
    assert [(one["prediction"], one["is_generating"]) for one in told] == [(1, True)] * 2
    for kind in (Page, gr.Blocks):
        ended = counting()
        await ended.aclose()
        over = await kind.call_function(made, event, [], ended)
        assert (over["is_generating"], over["iterator"], len(over["prediction"])) == (False, None, 2)
        going = counting()
        await anext(going)
        with pytest.raises(ValueError, match="two"):
            await kind.call_function(made, event, [], going)


async def test_what_is_skipped_is_not_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made, event = page()
    made.create_limiter()
    told = [MESSAGES, *[gr.skip()] * 4]
    again: list[str] = []
    for kind in {type(one) for one in event.outputs}:
        monkeypatch.setattr(kind, "__init__", lambda self, *_, **__: again.append(type(self).__name__))
    await made.postprocess_data(event, told, SessionState(made))
    assert not again


def asking() -> tuple[Any, Any]:
    """The app of a page that is sent a text, a choice and a tick, and its event."""
    with Page(analytics_enabled=False) as made:
        gr.Button().click(lambda *_: None, [gr.Textbox(), gr.Radio(["a", "b"]), gr.Checkbox()], None)
    return App.create_app(made), next(iter(made.fns.values()))


@pytest.mark.parametrize("kind", [OneState, StateHolder])
async def test_nothing_that_a_tab_sends_is_kept_nor_found_by_another(kind: type[StateHolder]) -> None:
    """Gradio's own, beside, shows that this test can tell."""
    app, event = asking()
    made = app.get_blocks()
    made.create_limiter()
    if kind is OneState:
        OneState(app)
    assert type(app.state_holder) is type(made.state_holder) is kind
    sent = ["a secret", "b", True]
    heard = await made.preprocess_data(event, sent, app.state_holder["one"])
    assert heard == sent == await made.preprocess_data(event, sent, SessionState(made))
    with pytest.raises(gr.Error, match="not in the list"):
        await made.preprocess_data(event, ["", "c", True], app.state_holder["two"])
    for tab in map(str, range(100)):
        assert "a secret" not in str(list(app.state_holder[tab].components))
    assert ("a secret" in str(list(app.state_holder["one"].components))) is (kind is StateHolder)
    assert len(app.state_holder.session_data) == (0 if kind is OneState else 102)


def test_a_page_with_a_state_of_each_tab_is_refused() -> None:
    with Page(analytics_enabled=False) as made:
        gr.State("mine")
    with pytest.raises(AssertionError, match="share"):
        OneState(App.create_app(made))


@pytest.mark.parametrize(("kind", "looks"), [(WokenQueue, False), (Queue, True)])
async def test_a_queue_with_nothing_to_do_waits_without_looking(kind: type[Queue], looks: bool) -> None:
    """Gradio's own, beside, shows that this test can tell."""
    queue = kind(live_updates=True, concurrency_count=4, update_intervals=1, max_size=4, blocks=page()[0])
    queue.start()
    await asyncio.sleep(0)
    timers = [one for one in asyncio.get_running_loop()._scheduled if not one.cancelled()]  # type: ignore[attr-defined]
    queue.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    assert bool(timers) is looks


async def test_events_beyond_a_limit_wait_for_those_before_them() -> None:
    made, event = page()
    made.sleep_well(calls=4, limit=1)
    queue = made._queue
    begun: list[int] = []
    running: list[int] = []

    async def process(events: list[Any], *_: Any) -> None:
        running.append(1)
        assert len(running) == 1, "two at once"
        await asyncio.sleep(0)
        begun.append(events[0].number)
        running.pop()
        queue.event_queue_per_concurrency_id["one"].current_concurrency -= 1
        queue.active_jobs[queue.active_jobs.index(events)] = None

    queue.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Queue, "process_events", lambda self, *given: process(*given))
        event.concurrency_id, event.concurrency_limit = "one", 1
        queue.create_event_queue_for_fn(event)
        for number in range(3):
            asked = SimpleNamespace(
                number=number, fn=event, _id=str(number), session_hash="s", alive=False, concurrency_id="one"
            )
            queue.event_queue_per_concurrency_id["one"].queue.append(asked)  # type: ignore[arg-type]
        queue._wake.set()
        async with asyncio.timeout(30):
            while len(begun) < 3:
                await asyncio.sleep(0)
    queue.close()
    assert begun == [0, 1, 2]


def test_many_answers_at_once_are_shown_less_often_and_few_as_ever() -> None:
    assert pace(1) == pace(20) == SHOW_EVERY
    assert SHOW_EVERY < pace(150) < 1


@pytest.mark.parametrize(
    ("engine", "newest_run", "seconds"),
    [("ready", "", SLOW), ("ready", "passed", SLOW), ("ready", "running", QUICK), ("restarting", "", QUICK)],
)
def test_operate_looks_often_only_while_something_is_under_way(
    engine: str, newest_run: str, seconds: float
) -> None:
    parts: Any = SimpleNamespace(
        **dict.fromkeys(("operations", "assistants", "router", "notices", "store")),
        supervisor=SimpleNamespace(state=engine),
    )
    assert Desk(parts)._beat(newest_run) == seconds
