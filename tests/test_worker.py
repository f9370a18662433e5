"""The worker's one thread: steps, shares, turns, faults and ends, row by row; a tiny model, no event loop."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_engine import Watched, make_adapter, make_model, open_model

from feedback.errors import EngineBusy, EngineUnavailable, HoneError
from serve.engine.asking import Ask, Drawing, Ended, Piece
from serve.engine.lora import read
from serve.engine.model import Loaded
from serve.engine.network import Span
from serve.engine.pace import FIRST, GENTLE, LARGEST, SMALLEST, Pace
from serve.engine.prefixes import Prefixes
from serve.engine.refusals import DeadlineExceeded, GenerationFailed
from serve.engine.row import Row
from serve.engine.spelling import Spelling
from serve.engine.worker import BACKGROUND_SHARE, TOGETHER, Worker

CPU = torch.device("cpu")
PATIENCE = 30.0


class Caller:
    """Whoever waits for a row: what it heard, and how often it was told that the row ended."""

    def __init__(self) -> None:
        self.heard: list[Piece | Ended | HoneError] = []
        self.row: Row
        self.on_piece: Callable[[Piece], None] = lambda piece: None

    def emit(self, event: Piece | Ended | HoneError) -> None:
        self.heard.append(event)
        if isinstance(event, Piece):
            self.on_piece(event)

    @property
    def tokens(self) -> list[int]:
        return [token.id for piece in self.heard if isinstance(piece, Piece) for token in piece.tokens]


class House:
    """A worker over the tiny model and all who ever asked it; `start` it once they stand in line."""

    def __init__(self, model: Loaded, *, queue: int = 64, prefix_bytes: int = 0) -> None:
        self.network = Watched(model.network)
        self.network.before = self.note
        self.before: Callable[[Sequence[Span]], None] = lambda spans: None
        self.rows: list[list[Row]] = []  # of each step
        self.callers: list[Caller] = []
        self.ended: list[Row] = []
        self.spelling = Spelling(model.tokenizer)
        self.prefixes = Prefixes(prefix_bytes)
        self.worker = Worker(
            self.network, self.prefixes, model.stops, queue=queue, ended=self.ended.append, flush=lambda: None
        )

    def ask(
        self,
        prompt: Sequence[int],
        limit: int,
        version: str = "base",
        *,
        seconds: float = 600,
        scored_from: int | None = None,
        **more: Any,
    ) -> Caller:
        caller = Caller()
        asked = Ask(version, tuple(prompt), Drawing(temperature=0), top_logprobs=0, **more)
        caller.row = Row(
            asked,
            prompt,
            limit=limit,
            spelling=self.spelling,
            emit=caller.emit,
            seconds=seconds,
            scored_from=scored_from,
        )
        self.worker.submit(caller.row)
        self.callers.append(caller)
        return caller

    def wait(self, *callers: Caller) -> None:
        """Until these have ended, or all; fails where that takes too long."""
        rows = [caller.row for caller in callers or self.callers]
        until = time.monotonic() + PATIENCE
        while not all(row in self.ended for row in rows):
            assert self.worker._thread.is_alive() or not self.worker._thread.ident, "the thread has died"
            assert time.monotonic() < until, "a row does not end"
            time.sleep(0.002)

    def steps_of(self, caller: Caller) -> list[int]:
        """In which steps a row took part."""
        return [i for i, step in enumerate(self.rows) if caller.row in step]

    def note(self, spans: Sequence[Span]) -> None:
        self.rows.append([self.worker._rows[span.row] for span in spans])
        self.before(spans)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapters(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("adapters")
    return {
        "v": make_adapter(folder, home / "v", seed=1),
        "w": make_adapter(folder, home / "w", seed=2, r=2, target_modules=["q_proj", "down_proj"]),
        "broken": make_adapter(folder, home / "broken", size=1e20),
    }


@pytest.fixture
def model(folder: Path, adapters: dict[str, Path], tmp_path: Path) -> Loaded:
    model = open_model(folder, tmp_path, rows=4)
    for version, adapter in adapters.items():
        model.network.add(version, read(adapter, model.network.shapes, torch.float32, CPU))
    return model


@pytest.fixture
def house(model: Loaded) -> Iterator[House]:
    """Ends with nothing in use and every row ended once."""
    house = House(model)
    yield house
    house.worker.stop()
    if house.worker._thread.ident:
        assert sorted(map(id, house.ended)) == sorted(id(caller.row) for caller in house.callers)
        assert house.worker.counts() == (0, 0)


def greedy(model: Loaded, prompt: Sequence[int], limit: int, version: str = "base") -> list[int]:
    """What the network says to this alone, a prompt in one piece."""
    ids, read_so_far = list(prompt), 0
    with torch.inference_mode():
        for _ in range(limit):
            span = Span(model.network.rows - 1, read_so_far, ids[read_so_far:], version)
            read_so_far = len(ids)
            ids.append(int(model.network.forward([span])[0].argmax()))
    model.network.free(model.network.rows - 1, spoiled=False)
    return ids[len(prompt) :]


def prompt(seed: int, length: int) -> list[int]:
    return [random.Random(seed).randrange(3, 250) for _ in range(length)]


def clean(model: Loaded) -> bool:
    """Whether the rows' memory holds numbers only."""
    return bool(torch.isfinite(model.network._arena._all[..., :400, :]).all())  # type: ignore[attr-defined]


# Pace


def rows(house: House, *unread: int) -> list[Row]:
    return [house.ask(prompt(i, length), 1).row for i, length in enumerate(unread)]


def test_a_step_reads_of_the_prompts_what_it_has_room_for(house: House) -> None:
    waiting = rows(house, 1000, 40, 900, 30)
    eldest, middle, other, short = waiting
    pace = Pace()
    # Half for whoever came first, then the shortest; what is left is too little to be worth a call.
    assert dict(pace.shares(waiting, answering=True)) == {eldest: 34, short: 30}
    alone = dict(pace.shares(waiting, answering=False))
    assert alone == {eldest: LARGEST // 2, short: 30, middle: 40, other: LARGEST // 2 - 70}
    assert pace.shares([], answering=True) == []


def test_a_prompt_that_waits_longest_is_never_passed_by_all(house: House) -> None:
    eldest, *others = rows(house, 3000, *[20] * 40)
    for _ in range(10):
        given = dict(Pace().shares([*others, eldest], answering=True))
        assert given[eldest] >= FIRST // 2
        assert sum(given.values()) <= FIRST


def test_prompts_are_read_to_their_ends_one_after_the_other(house: House) -> None:
    waiting = rows(house, *[100] * 20)
    given = Pace().shares(waiting, answering=True)
    assert given == [(waiting[0], FIRST // 2), (waiting[1], FIRST // 2)]


def test_a_step_reads_as_much_as_fits_beside_its_answers(house: House) -> None:
    (waiting,) = rows(house, 3000)

    def share(pace: Pace) -> int:
        return pace.shares([waiting], answering=True)[0][1]

    def learnt(alone: float, each: float) -> int:
        pace = Pace()
        for _ in range(40):
            pace.took(alone, 0, answering=True)
            pace.took(alone + each * share(pace), share(pace), answering=True)
        return share(pace)

    assert share(Pace()) == FIRST
    assert learnt(0.04, 0.0001) == LARGEST
    assert abs(learnt(0.04, 0.001) - 80) <= 1  # 40 ms and 80 times 1 ms
    assert learnt(0.04, 0.1) == SMALLEST
    # On a slow machine prompts still go on: by half of what a step takes anyway.
    assert abs(learnt(0.4, 0.002) - 100) <= 1


def test_one_slow_step_does_not_slow_the_reading_for_long(house: House) -> None:
    (waiting,) = rows(house, 3000)
    pace = Pace()

    def share() -> int:
        return pace.shares([waiting], answering=True)[0][1]

    for _ in range(20):
        pace.took(0.04, 0, answering=True)
        pace.took(0.04 + 0.001 * share(), share(), answering=True)
    usual = share()
    pace.took(9.0, share(), answering=True)
    assert usual // 2 <= share() < usual
    pace.took(9.0, 30, answering=False)  # a step without answers holds nobody up
    for _ in range(20):
        pace.took(0.04 + 0.001 * share(), share(), answering=True)
    assert abs(share() - usual) <= 2


def test_a_long_prompt_does_not_stop_an_answer(house: House, model: Loaded) -> None:
    talker, long = prompt(1, 9), prompt(2, 1500)
    speaking = house.ask(talker, 120)
    joined: list[Caller] = []
    speaking.on_piece = lambda piece: joined or joined.append(house.ask(long, 3))  # type: ignore[func-returns-value]
    house.worker.start()
    house.wait(speaking)
    house.wait()
    both = [step for step in house.network.steps if len(step) == 2]
    assert len(both) >= 3
    pieces = [span for step in both for span in step if len(span.ids) > 1]
    assert len(pieces) >= 3
    assert max(len(span.ids) for span in pieces) <= LARGEST
    # From its first token on, the answer went on by one token in each step until it was over.
    own = house.steps_of(speaking)
    assert own == list(range(own[0], own[0] + 120))
    assert speaking.tokens == greedy(model, talker, 120)
    assert joined[0].tokens == greedy(model, long, 3)


# Turns


def test_rows_go_on_together_one_token_each_a_step(house: House) -> None:
    for seed in range(3):
        house.ask(prompt(seed, 6), 10)
    house.worker.start()
    house.wait()
    assert [len(step) for step in house.network.steps] == [3] * 10
    assert all(len(span.ids) == 1 for step in house.network.steps[1:] for span in step)


def test_a_full_queue_says_so_and_empties_again(model: Loaded) -> None:
    house = House(model, queue=2)
    try:
        for seed in range(6):
            house.ask(prompt(seed, 5), 4)
        with pytest.raises(EngineBusy, match="wait already"):
            house.ask(prompt(9, 5), 4)
        house.ask(prompt(9, 5), 4, background=True)  # its own line has room
        assert house.worker.counts() == (0, 7)
        house.worker.start()
        house.wait()
        house.wait(house.ask(prompt(9, 5), 4))
    finally:
        house.worker.stop()


def test_background_work_takes_half_the_rows_and_one_step_in_some(house: House) -> None:
    background = [house.ask(prompt(seed, 5), 40, background=True) for seed in range(6)]
    house.worker.start()
    while not any(caller.heard for caller in background):
        time.sleep(0.001)
    person = house.ask(prompt(50, 5), 60)
    house.wait()
    theirs = [sum(row.background for row in step) for step in house.rows]
    assert max(theirs) == 2
    own = house.steps_of(person)
    assert len(own) == 60
    beside = [at for at in range(own[0], own[-1] + 1) if theirs[at]]
    assert own == list(range(own[0], own[-1] + 1))
    assert 60 // BACKGROUND_SHARE - 1 <= len(beside) <= 60 // BACKGROUND_SHARE + 1
    assert {b - a for a, b in pairwise(beside)} == {BACKGROUND_SHARE}


def test_background_prompts_are_read_in_small_pieces_beside_an_answer(house: House) -> None:
    beside: list[int] = []

    def note(spans: Sequence[Span]) -> None:
        if any(len(span.ids) == 1 for span in spans):
            beside.extend(len(span.ids) for span in spans if len(span.ids) > 1)

    house.before = note
    person = house.ask(prompt(50, 5), 300)
    house.worker.start()
    while not person.heard:
        time.sleep(0.001)
    house.ask(prompt(51, 120), 4, background=True)
    house.wait()
    assert beside
    assert max(beside) <= GENTLE


def test_people_come_before_background_work_that_came_first(house: House) -> None:
    late = house.ask(prompt(1, 5), 3, background=True)
    people = [house.ask(prompt(seed, 5), 3) for seed in range(2, 8)]
    house.worker.start()
    house.wait()
    assert house.ended.index(late.row) > max(house.ended.index(c.row) for c in people[:4])


# Ends


def step_until(house: House, caller: Caller, done: Callable[[], bool], act: Callable[[], None]) -> int:
    """Act within the step in which something becomes true; in how many steps more the row took part."""
    acted: list[int] = []

    def before(spans: Sequence[Span]) -> None:
        if not acted and done():
            act()
            acted.append(len(house.rows))

    house.before = before
    house.worker.start()
    house.wait(caller)
    assert acted
    return sum(at >= acted[0] for at in house.steps_of(caller))


def test_a_cancelled_row_is_gone_by_the_next_step_while_it_answers(house: House) -> None:
    other, mine = house.ask(prompt(1, 5), 60), house.ask(prompt(2, 5), 60)
    left = step_until(house, mine, lambda: len(mine.heard) == 5, lambda: _cancel(mine))
    assert left == 0
    assert mine.row.outcome == "cancelled"
    assert not isinstance(mine.heard[-1], Ended | HoneError)
    house.wait()
    assert other.row.outcome == "done"


def test_a_cancelled_row_is_gone_by_the_next_step_while_it_reads(house: House) -> None:
    house.ask(prompt(1, 5), 60)
    mine = house.ask(prompt(2, 2000), 5)
    left = step_until(house, mine, lambda: mine.row.read > 100, lambda: _cancel(mine))
    assert left == 0
    assert (mine.heard, mine.row.outcome) == ([], "cancelled")
    house.wait()


def test_a_cancelled_row_that_waits_leaves_the_queue(house: House) -> None:
    busy = [house.ask(prompt(seed, 5), 300) for seed in range(4)]
    waiting = house.ask(prompt(9, 5), 5)
    _cancel(waiting)
    house.worker.start()
    house.wait(waiting)
    assert (waiting.heard, waiting.row.outcome, waiting.row.read) == ([], "cancelled", 0)
    assert not any(caller.row in house.ended for caller in busy)


def _cancel(caller: Caller) -> None:
    caller.row.cancelled = True


def test_a_deadline_ends_a_row_in_the_queue_and_in_the_middle_of_its_answer(house: House) -> None:
    house.before = lambda spans: time.sleep(0.005)
    busy = [house.ask(prompt(seed, 5), 40) for seed in range(3)]
    cut = house.ask(prompt(5, 5), 3000, seconds=0.15)
    waiting = house.ask(prompt(6, 5), 5, seconds=0.03)
    house.worker.start()
    house.wait()
    assert isinstance(cut.heard[-1], DeadlineExceeded)
    assert 0 < len(cut.tokens) < 3000
    assert [type(event) for event in waiting.heard] == [DeadlineExceeded]
    assert [caller.row.outcome for caller in (cut, waiting, *busy)] == ["failed"] * 2 + ["done"] * 3


def test_stopping_ends_everybody_with_an_error(house: House) -> None:
    callers = [house.ask(prompt(seed, 5), 3000) for seed in range(7)]
    house.worker.start()
    while not callers[0].heard:
        time.sleep(0.001)
    house.worker.stop()
    for caller in callers:
        assert isinstance(caller.heard[-1], EngineUnavailable)
        assert sum(not isinstance(event, Piece) for event in caller.heard) == 1
    with pytest.raises(EngineUnavailable):
        house.ask(prompt(1, 5), 1)


def test_what_is_asked_of_the_thread_is_done_between_steps_in_order(house: House) -> None:
    done: list[str] = []
    busy = house.ask(prompt(1, 5), 3000)
    house.worker.start()
    for name in "abc":
        house.worker.call(lambda name=name: done.append(f"{name} {threading.current_thread().name}"))  # type: ignore[misc]
    house.worker.call(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    while len(done) < 3:
        time.sleep(0.001)
    assert done == ["a model", "b model", "c model"]
    _cancel(busy)
    house.wait()


def test_one_version_alone_for_a_while_is_settled_on(
    house: House, model: Loaded, adapters: dict[str, Path]
) -> None:
    mine = house.ask(prompt(1, 8), TOGETHER + 20, "v")
    house.worker.start()
    house.wait(mine)
    assert all(linear._settled for layer in model.network._layers for linear in layer.linears())  # type: ignore[attr-defined]
    base, again = house.ask(prompt(2, 8), 20), house.ask(prompt(1, 8), TOGETHER + 20, "v")
    house.wait()
    model.network.drop("v")
    model.network.add("v", read(adapters["v"], model.network.shapes, torch.float32, CPU))
    assert mine.tokens == again.tokens == greedy(model, prompt(1, 8), TOGETHER + 20, "v")
    assert base.tokens == greedy(model, prompt(2, 8), 20)


def test_versions_that_keep_coming_together_are_settled_on_together(house: House, model: Loaded) -> None:
    mine, other = house.ask(prompt(1, 8), TOGETHER + 20, "v"), house.ask(prompt(2, 8), TOGETHER + 20, "w")
    base = house.ask(prompt(3, 8), TOGETHER + 20)
    house.worker.start()
    house.wait()
    settled = model.network._layers[0].qkv._settled  # type: ignore[attr-defined]
    assert (settled.versions, settled.pure) == (("v", "w"), False)
    assert mine.tokens == greedy(model, prompt(1, 8), TOGETHER + 20, "v")
    assert other.tokens == greedy(model, prompt(2, 8), TOGETHER + 20, "w")
    assert base.tokens == greedy(model, prompt(3, 8), TOGETHER + 20)


# Faults


def test_a_row_whose_numbers_break_down_ends_alone_and_leaves_clean_memory(
    house: House, model: Loaded
) -> None:
    fine = [house.ask(prompt(seed, 20 + seed), 12) for seed in range(3)]
    broken = house.ask(prompt(7, 60), 12, "broken")
    house.worker.start()
    house.wait()
    assert [type(event) for event in broken.heard] == [GenerationFailed]
    assert clean(model)
    again = [house.ask(prompt(seed, 90 - 20 * seed), 12, "v") for seed in range(4)]
    house.wait()
    assert [c.tokens for c in fine] == [greedy(model, prompt(s, 20 + s), 12) for s in range(3)]
    assert [c.tokens for c in again] == [greedy(model, prompt(s, 90 - 20 * s), 12, "v") for s in range(4)]


def test_memory_is_clean_where_a_sound_row_ends_in_the_very_step_that_breaks_another(
    house: House, model: Loaded
) -> None:
    house.ask(prompt(1, 10), 9)
    house.ask(prompt(1, 10), 1)
    house.ask(prompt(2, 60), 9, "broken")
    house.worker.start()
    house.wait()
    assert clean(model)


def test_memory_is_clean_after_a_row_that_was_cancelled_before_its_numbers_were_found_broken(
    model: Loaded,
) -> None:
    house = House(model, prefix_bytes=2**24)
    mine = house.ask(prompt(1, 1200), 5, "broken", owner="ann")
    house.network.after = lambda spans, logits: (_cancel(mine), logits)[1]
    try:
        house.worker.start()
        house.wait()
        assert mine.row.outcome == "cancelled"
        assert clean(model)
        assert all(torch.isfinite(p.kept.memory).all() for p in house.prefixes._all.values())
    finally:
        house.worker.stop()


def test_a_score_that_is_no_number_is_a_failure_and_leaves_clean_memory(house: House, model: Loaded) -> None:
    scored = house.ask(prompt(1, 60), 0, "broken", scored_from=10)
    house.worker.start()
    house.wait()
    assert clean(model)
    assert [type(event) for event in scored.heard] == [GenerationFailed]


@pytest.mark.parametrize("side", ["down", "up"])
def test_a_version_with_huge_numbers_does_not_break_its_neighbours(
    house: House, model: Loaded, folder: Path, tmp_path: Path, side: str
) -> None:
    def enlarge(name: str, delta: Any) -> Any:
        weights = getattr(delta, side)
        return type(delta)(**{"down": delta.down, "up": delta.up, side: weights / weights.abs().max() * 3e38})

    deltas = read(make_adapter(folder, tmp_path / "huge"), model.network.shapes, torch.float32, CPU)
    model.network.add("huge", {name: enlarge(name, delta) for name, delta in deltas.items()})
    house.ask(prompt(2, 20), 9, "huge")
    fine = house.ask(prompt(1, 20), 9)
    house.worker.start()
    house.wait()
    assert isinstance(fine.heard[-1], Ended)
    assert fine.tokens == greedy(model, prompt(1, 20), 9)


@pytest.mark.parametrize("first", [True, False])
def test_a_pass_that_fails_for_one_row_ends_that_row_alone(house: House, model: Loaded, first: bool) -> None:
    def fail(spans: Sequence[Span]) -> None:
        if any(span.version == "w" and span.start >= (0 if first else 24) for span in spans):
            raise RuntimeError("no")

    house.before = fail
    fine = [house.ask(prompt(seed, 20), 12, version) for seed, version in enumerate(("base", "v", "v"))]
    bad = house.ask(prompt(5, 20), 12, "w")
    house.worker.start()
    house.wait()
    assert isinstance(bad.heard[-1], GenerationFailed)
    assert bad.tokens == greedy(model, prompt(5, 20), 0 if first else 5, "w")
    expected = [greedy(model, prompt(s, 20), 12, v) for s, v in enumerate(("base", "v", "v"))]
    assert [caller.tokens for caller in fine] == expected


def test_a_seed_draws_the_same_although_a_step_failed_and_was_taken_again(house: House) -> None:
    def seeded(fails: bool) -> list[int]:
        caller = Caller()
        drawing = Drawing(temperature=1.0, seed=3)
        asked = Ask("base", tuple(prompt(1, 9)), drawing, top_logprobs=0)
        caller.row = Row(asked, prompt(1, 9), limit=15, spelling=house.spelling, emit=caller.emit, seconds=60)
        house.callers.append(caller)
        if fails:
            house.ask(prompt(2, 9), 15, "w")
        house.worker.submit(caller.row)
        if not house.worker._thread.ident:
            house.worker.start()
        house.wait()
        return caller.tokens

    def fail(spans: Sequence[Span]) -> None:
        if any(span.version == "w" and span.start > 12 for span in spans):
            raise RuntimeError("no")

    house.before = fail
    assert seeded(True) == seeded(False)


def test_a_caller_that_raises_ends_its_own_row_alone(house: House, model: Loaded) -> None:
    deaf, fine = house.ask(prompt(1, 9), 20), house.ask(prompt(2, 9), 20)

    def refuse(piece: Piece) -> None:
        if len(deaf.heard) == 3:
            raise ValueError("gone")

    deaf.on_piece = refuse
    house.worker.start()
    house.wait()
    assert isinstance(deaf.heard[-1], GenerationFailed)
    assert len(deaf.heard) == 4
    assert fine.tokens == greedy(model, prompt(2, 9), 20)


@pytest.mark.parametrize("broken", ["keep", "put", "settle"])
def test_a_network_that_fails_between_passes_does_not_end_the_thread(
    model: Loaded, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(model, prefix_bytes=2**24)
    failed: list[str] = []

    def fail(*given: object, **named: object) -> None:
        if not failed:
            failed.append(broken)
            raise RuntimeError("no memory")
        return getattr(model.network, broken)(*given, **named)

    setattr(house.network, broken, fail)
    try:
        house.worker.start()
        for _ in range(2):
            house.ask(prompt(1, 50), 3, "v", owner="ann")
            house.ask(prompt(2, 50), TOGETHER + 9, "v", owner="bob")
            house.wait()
        assert failed
        last = house.ask(prompt(3, 9), 5)
        house.wait(last)
        assert last.tokens == greedy(model, prompt(3, 9), 5)
    finally:
        house.worker.stop()


# Anything at all


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_and_goes_every_row_ends_once_and_every_answer_is_its_own(
    model: Loaded, seed: int
) -> None:
    chance, house = random.Random(seed), House(model, queue=200, prefix_bytes=2**19)
    alone: dict[tuple[int, str], list[int]] = {}
    prompts = {number: prompt(number, length) for number, length in enumerate((3, 40, 40, 90, 300))}
    asked: list[tuple[Caller, int, str]] = []
    for number in prompts:
        for version in ("base", "v", "w"):
            alone[number, version] = greedy(model, prompts[number], 24, version)

    def refuse(piece: Piece) -> None:
        raise ValueError("gone")

    house.worker.start()
    for _ in range(120):
        number, version = chance.randrange(len(prompts)), chance.choice(["base", "v", "w", "v", "broken"])
        limit = chance.choice([0, 1, 5, 24])
        caller = house.ask(
            prompts[number],
            limit,
            version,
            seconds=chance.choice([600, 600, 600, 0.02]),
            scored_from=None if limit else 1,
            owner=chance.choice(["", "ann", "bob"]),
            background=chance.random() < 0.3,
        )
        asked.append((caller, number, version))
        if chance.random() < 0.1:
            caller.on_piece = refuse
        if chance.random() < 0.3:
            _cancel(chance.choice(house.callers))
        if chance.random() < 0.5:
            time.sleep(chance.random() * 0.02)
        if chance.random() < 0.1:
            house.worker.call(lambda: house.prefixes.forget("ann"))  # type: ignore[arg-type, return-value]
    house.wait()
    house.worker.stop()
    assert sorted(map(id, house.ended)) == sorted(id(caller.row) for caller in house.callers)
    assert house.worker.counts() == (0, 0)
    done = [(c, n, v) for c, n, v in asked if c.row.outcome == "done"]
    assert len(done) > 30
    for caller, number, version in done:
        assert sum(not isinstance(event, Piece) for event in caller.heard) == 1
        assert version != "broken"
        assert caller.tokens == alone[number, version][: caller.row.limit]
