"""Drawing: as transformers' own processors would, token for token; seeds that neighbours do not disturb."""

from typing import Any

import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from serve.engine.asking import Drawing
from serve.engine.sampling import LIKELY, Drawer, choose, likelihood

GRID = 1200
"""Chances that are tried, evenly; tokens less likely than twice their distance would be missed."""


class Chosen(Drawer):
    """A drawer whose chance is given, so that all of its draws can be walked through."""

    def __init__(self, drawing: Drawing, prompt: list[int], made: list[int]) -> None:
        super().__init__(drawing, prompt)
        for token in made:
            self.heard(token)
        self.next = 0.0

    def chance(self) -> float:
        return self.next


def shares(logits: torch.Tensor, drawing: Drawing, prompt: list[int], made: list[int]) -> torch.Tensor:
    """How often each token is drawn when the chance walks from 0 to 1."""
    drawer, counts = Chosen(drawing, prompt, made), torch.zeros(len(logits))
    for step in range(GRID):
        drawer.next = (step + 0.5) / GRID
        (token,) = choose(logits[None], [drawer])
        assert token is not None
        counts[token] += 1
    return counts / GRID


def expected(logits: torch.Tensor, drawing: Drawing, prompt: list[int], made: list[int]) -> torch.Tensor:
    """The distribution by transformers' processors, in the order in which `generate` has them."""
    ids, scores = torch.tensor([prompt + made]), logits[None].clone()
    if drawing.repetition_penalty != 1:
        scores = RepetitionPenaltyLogitsProcessor(drawing.repetition_penalty)(ids, scores)
    for token in set(made):
        scores[0, token] -= drawing.presence_penalty + drawing.frequency_penalty * made.count(token)
    warpers: list[Any] = [TemperatureLogitsWarper(float(drawing.temperature))]
    warpers += [TopKLogitsWarper(drawing.top_k)] if drawing.top_k else []
    warpers += [TopPLogitsWarper(drawing.top_p)] if drawing.top_p < 1 else []
    warpers += [MinPLogitsWarper(drawing.min_p)] if drawing.min_p else []
    for warper in warpers:
        scores = warper(ids, scores)
    return scores[0].softmax(-1)


DRAWINGS = {
    "as they are": {},
    "hotter": {"temperature": 1.7},
    "colder": {"temperature": 0.8},
    "top_k": {"top_k": 5},
    "top_k of one": {"top_k": 1},
    "top_k of more than there are": {"top_k": 500},
    "top_p": {"top_p": 0.7},
    "top_p of almost nothing": {"top_p": 0.01},
    "min_p": {"min_p": 0.2},
    "min_p of all": {"min_p": 1.0},
    "top_k and top_p": {"top_k": 6, "top_p": 0.8},
    "all of them, hotter": {"top_k": 9, "top_p": 0.9, "min_p": 0.15, "temperature": 1.5},
    "repetition": {"repetition_penalty": 1.8},
    "reward for repetition": {"repetition_penalty": 0.7},
    "presence": {"presence_penalty": 1.5},
    "frequency": {"frequency_penalty": 0.6},
    "negative presence": {"presence_penalty": -0.7},
    "all penalties and top_p": {
        "repetition_penalty": 1.3,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.4,
        "top_p": 0.8,
    },
}
PROMPT, MADE = [1, 2, 3, 3, 3, 12], [4, 5, 5, 5, 1, 11]


@pytest.mark.parametrize("asked", DRAWINGS.values(), ids=DRAWINGS.keys())
def test_tokens_are_drawn_as_transformers_would(asked: dict[str, Any]) -> None:
    drawing = Drawing(**asked)
    logits = torch.randn(16, generator=torch.Generator().manual_seed(4)) * 0.9
    wanted = expected(logits, drawing, PROMPT, MADE)
    assert float(wanted[wanted > 0].min()) > 2 / GRID, "a token would be missed"
    found = shares(logits, drawing, PROMPT, MADE)
    assert (found > 0).tolist() == (wanted > 0).tolist()
    torch.testing.assert_close(found, wanted, atol=2 / GRID, rtol=0)


@pytest.mark.parametrize(
    "asked",
    [{"top_p": 0.9}, {"top_k": 2000}, {"min_p": 0.3}, {"top_k": 3000, "top_p": 0.8}, {"temperature": 3.0}],
)
def test_what_is_wider_than_the_likeliest_thousand_is_drawn_from_whole(asked: dict[str, Any]) -> None:
    drawing = Drawing(**asked)
    logits = torch.linspace(0, -2, 5000)[torch.randperm(5000, generator=torch.Generator().manual_seed(1))]
    wanted = expected(logits, drawing, [], [])
    inside = int((wanted > 0).sum())
    assert inside > LIKELY
    drawer, drawn = Chosen(drawing, [], []), set()
    for step in range(40):
        drawer.next = step / 39 * 0.999_999
        drawn |= set(choose(logits[None], [drawer]))
    assert all(wanted[token] > 0 for token in drawn)
    order = logits.argsort(descending=True).tolist()
    if asked != {"temperature": 3.0}:  # drawn in the vocabulary's order
        assert max(order.index(token) for token in drawn) > inside - 10


def test_greedy_heeds_penalties_and_nothing_else() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.9, 2.0]])
    cold = {"temperature": 0.0, "top_k": 3, "top_p": 0.5, "min_p": 0.5}
    assert choose(logits, [Chosen(Drawing(**cold), [1], [1])]) == [1]
    assert choose(logits, [Chosen(Drawing(**cold, presence_penalty=0.2), [], [1])]) == [2]
    assert choose(logits, [Chosen(Drawing(**cold, presence_penalty=0.2), [1], [])]) == [1]
    assert choose(logits, [Chosen(Drawing(**cold, repetition_penalty=1.6), [1], [2])]) == [3]
    assert choose(logits, [Chosen(Drawing(**cold, frequency_penalty=0.04), [], [1, 1, 1])]) == [2]


def test_penalties_leave_the_logits_themselves_alone() -> None:
    logits = torch.randn(3, 9)
    before = logits.clone()
    drawer = Chosen(Drawing(repetition_penalty=2.0, presence_penalty=1.0), [1, 2], [3])
    choose(logits, [drawer, Drawer(Drawing(temperature=0), []), Drawer(Drawing(), [])])
    assert torch.equal(logits, before)


def test_a_seed_draws_the_same_again_and_whoever_draws_beside_it() -> None:
    steps = torch.randn(30, 6, 400, generator=torch.Generator().manual_seed(2))
    mine = Drawing(top_p=0.9, seed=42, frequency_penalty=0.3)

    def draw(neighbours: list[Drawing], place: int) -> list[int | None]:
        drawers = [Drawer(drawing, []) for drawing in neighbours]
        drawers.insert(place, Drawer(mine, []))
        said = []
        for logits in steps:
            rows = logits[: len(drawers)].clone()
            rows[place] = logits[5]
            tokens = choose(rows, drawers)
            for drawer, token in zip(drawers, tokens, strict=True):
                drawer.heard(token or 0)
            said.append(tokens[place])
        return said

    alone = draw([], 0)
    crowd = [Drawing(seed=42), Drawing(temperature=0), Drawing(top_k=3), Drawing(min_p=0.1, seed=1)]
    assert draw([], 0) == alone
    assert draw(crowd, 0) == draw(crowd, 2) == draw(crowd[::-1], 4) == alone
    other = Drawer(Drawing(top_p=0.9, seed=43), [])
    assert [choose(logits[5:], [other])[0] for logits in steps] != alone


def test_a_seed_is_made_where_none_is_given_and_makes_the_same_again() -> None:
    logits = torch.randn(1, 500)
    first = Drawer(Drawing(), [])
    again = Drawer(Drawing(seed=first.seed), [])
    assert [choose(logits, [first]) for _ in range(20)] == [choose(logits, [again]) for _ in range(20)]
    assert first.seed != Drawer(Drawing(), []).seed


@pytest.mark.parametrize("temperature", [1e-5, 1e-3])
def test_a_tiny_temperature_is_nearly_greedy_and_does_not_overflow(temperature: float) -> None:
    drawer = Drawer(Drawing(temperature=temperature, seed=1), [])
    assert choose(torch.tensor([[1.0, 900.0, 2.0, -1e30]]), [drawer]) == [1]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("asked", [{"temperature": 0.0}, {}, {"top_k": 2, "presence_penalty": 1.0}])
def test_a_row_whose_numbers_are_none_draws_nothing_and_its_neighbours_do(
    broken: float, asked: dict[str, Any]
) -> None:
    logits = torch.tensor([[9.0, 0.0, 0.0], [1.0, broken, 0.0], [0.0, 0.0, 90.0]])
    drawers = [Drawer(Drawing(**asked), []) for _ in range(3)]
    chosen = choose(logits, drawers)
    assert chosen[1] is None
    assert chosen[2] == 2
    assert chosen[0] is not None


def test_tokens_that_are_ruled_out_are_never_drawn() -> None:
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf"), 1.0]])
    drawer = Chosen(Drawing(), [], [])
    for drawer.next in (0.0, 0.2689, 0.5, 0.999_999_9):
        assert choose(logits, [drawer])[0] in (1, 3)


def test_likelihoods_are_those_of_the_unaltered_logits() -> None:
    logits = torch.randn(5, 40, generator=torch.Generator().manual_seed(3)).bfloat16()
    tokens = [3, 9, 0, 39, 3]
    logs = logits.float().log_softmax(-1)
    found = likelihood(logits, tokens, 4)
    assert [likely.logprob for likely in found] == [float(logs[i, t]) for i, t in enumerate(tokens)]
    for i, likely in enumerate(found):
        values, ids = logs[i].topk(4)
        assert [p for _, p in likely.top] == values.tolist()
        assert {t for t, p in likely.top if p > values[-1]} == {
            t for t, p in zip(ids.tolist(), values.tolist(), strict=True) if p > values[-1]
        }
    assert [likely.top for likely in likelihood(logits, tokens, 0)] == [[]] * 5
    assert len(likelihood(logits, tokens, 100)[0].top) == 40
