"""docs/scale.md has the table that its command prints, and the model behind it counts what it says."""

from dataclasses import replace
from pathlib import Path

from benchmarks.scale import HABITS, NODE, load, table

PAGE = (Path(__file__).parent.parent / "docs" / "scale.md").read_text("utf-8")


def test_the_page_has_the_table_that_the_command_prints() -> None:
    assert "\n".join(table()) in PAGE


def test_ten_times_the_users_are_ten_times_the_load_and_more_speed_is_fewer_nodes() -> None:
    few, many = load(10**4), load(10**5)
    assert round(many.events_a_second / few.events_a_second) == 10
    assert round(many.reviewers / few.reviewers) == 10
    quicker = replace(NODE, answer_tokens_a_second=2 * NODE.answer_tokens_a_second)
    assert load(10**5, quicker).nodes_that_answer == many.nodes_that_answer / 2
    assert load(10**5, NODE, replace(HABITS, rated=0.0)).reviewers == 0
