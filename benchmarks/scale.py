"""How much a number of users asks of Hone, and which part of one node is too small for it first.

python -m benchmarks.scale            the table of docs/scale.md, in a moment

Arithmetic over figures that other benchmarks measured (`NODE`) and what people are assumed to do (`HABITS`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

USERS = [10**power for power in range(2, 8)]


@dataclass(frozen=True)
class Node:
    """One node of two cores with the default model: what the commands in docs/scale.md printed."""

    answer_tokens_a_second: float = 265.0
    """make bench-serve: sixteen streams at once, the least in the README's "What to expect"."""
    events_a_second: float = 4281.0
    """make bench-store: 64 writers, each durable."""
    training_tokens_a_second: float = 347.0
    """make bench-tune: useful tokens."""
    exchanges_that_pages_read_quickly: float = 1e6
    """make bench-store: what its bars hold for; nothing larger was measured."""


@dataclass(frozen=True)
class Habits:
    """What is assumed of people; change them and run again."""

    turns_a_day: float = 4.0
    busiest_hour: float = 0.12
    """Of a day's turns."""
    answer_tokens: float = 150.0
    rated: float = 0.05
    """Of the turns."""
    corrected: float = 0.1
    """Of the ratings."""
    reviews_an_hour: float = 60.0
    """By one reviewer."""
    approved: float = 0.6
    pair_tokens: float = 220.0
    epochs: float = 3.0
    most_pairs: float = 20_000.0
    """Assumed, so that a run's length ends somewhere: the tuner itself takes all that curation keeps."""
    events_a_turn: float = 2.2
    dollars_an_hour: float = 0.10
    """For a node of two cores."""


NODE, HABITS = Node(), Habits()


@dataclass(frozen=True)
class Load:
    users: int
    turns_a_second: float
    nodes_that_answer: float
    events_a_second: float
    days_to_a_million: float
    reviewers: float
    hours_between_runs: float
    hours_of_a_run: float
    dollars_a_day: float

    @property
    def first_limit(self) -> str:
        """The part of one node that is too small, the one that is overrun furthest first."""
        over = {
            "reviewers": self.reviewers / 1.0,
            "answers": self.nodes_that_answer / 1.0,
            "training": self.hours_of_a_run / self.hours_between_runs,
            "the store's size in a year": 365 / self.days_to_a_million,
            "the store's writes": self.events_a_second / NODE.events_a_second,
        }
        name = max(over, key=lambda part: over[part])
        return f"{name}, {over[name]:,.0f} times" if over[name] > 1 else "none"


def load(users: int, node: Node = NODE, habits: Habits = HABITS) -> Load:
    turns = users * habits.turns_a_day
    busiest = turns * habits.busiest_hour / 3600
    ratings = turns * habits.rated
    pairs = ratings * habits.corrected * habits.approved
    run = min(max(50.0, pairs), habits.most_pairs)
    answering = busiest * habits.answer_tokens / node.answer_tokens_a_second
    training = run * habits.pair_tokens * habits.epochs / node.training_tokens_a_second / 3600
    between = max(24.0 * 50 / pairs, 24.0) if pairs else float("inf")
    return Load(
        users,
        busiest,
        answering,
        busiest * habits.events_a_turn,
        node.exchanges_that_pages_read_quickly / turns,
        ratings * habits.corrected / (habits.reviews_an_hour * 6),
        between,
        training,
        24 * habits.dollars_an_hour * max(1.0, answering) + training * 24 / between * habits.dollars_an_hour,
    )


def table() -> Iterator[str]:
    """The rows of docs/scale.md."""
    yield (
        "| users | turns/s, busiest hour | nodes that answer | events/s | days to 10⁶ exchanges "
        "| reviewers | hours between runs | hours of a run | dollars a day | first limit of one node |"
    )
    yield "| ---: " * 9 + "| --- |"
    for users in USERS:
        at = load(users)
        numbers = (at.turns_a_second, at.nodes_that_answer, at.events_a_second, at.days_to_a_million)
        people = (at.reviewers, at.hours_between_runs, at.hours_of_a_run, at.dollars_a_day)
        told = " | ".join(f"{value:,.2f}" if value < 10 else f"{value:,.0f}" for value in (*numbers, *people))
        yield f"| {users:,} | {told} | {at.first_limit} |"


if __name__ == "__main__":
    print("\n".join(table()))
