"""Runs work that computes on a thread that ends with it, away from the event loop and the model.

Each thread that computes gets a team of processor threads from OpenMP (libgomp), and as soon as two such
teams exist, idle or not, their waits become so short that decoding takes half as long again (docs/log.md).
A team goes with its thread, so none but the model's may stay.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """What the work returns or raises."""
    run, future = promised(work)
    threading.Thread(target=run, name="apart", daemon=True).start()
    return await future


def promised(work: Callable[[], T]) -> tuple[Callable[[], None], "asyncio.Future[T]"]:
    """Work for any thread to run, and what this event loop's waiter gets of it; not run once nobody waits."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        if future.cancelled():
            return
        try:
            done = work()
        except BaseException as error:
            loop.call_soon_threadsafe(_settle, future, error, None)
        else:
            loop.call_soon_threadsafe(_settle, future, None, done)

    return run, future


def _settle(future: "asyncio.Future[Any]", error: BaseException | None, result: Any) -> None:
    """Give a future its end, if it still waits for one."""
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
