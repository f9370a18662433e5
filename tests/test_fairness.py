"""Whose exchanges are weighed: a share of each at first, whatever somebody sends."""

from hypothesis import given
from hypothesis import strategies as st

from feedback import fairness
from feedback.fairness import LOOK, PASSES, SHARES, chosen

MOST = 2 * SHARES


def waiting(*owners):
    return [{"owner": owner, "rank": rank, "seq": rank} for rank, owner in enumerate(owners)]


def asked(rows, calls=None):
    """What the store answers, counting how often it is asked."""

    def best(but):
        if calls is not None:
            calls.append(but)
        return [row for row in rows if row["owner"] not in but][: LOOK * MOST]

    return best


def test_one_who_sends_thousands_leaves_room_for_all_others():
    others = [f"user{number}" for number in range(MOST - 2)]
    found = chosen(asked(waiting(*["loud"] * 10_000, *others)), MOST)
    assert [row["owner"] for row in found] == ["loud", "loud", *others]


def test_what_no_other_needs_is_filled_by_those_who_sent_more_the_best_first():
    found = chosen(asked(waiting(*["loud"] * 500, "ben", *["ana"] * 5)), MOST)
    assert len(found) == MOST
    assert [row["owner"] for row in found][:8] == ["loud", "loud", "ben", "ana", "ana", "loud", "loud", "ana"]
    seen = [row["rank"] for row in found if row["owner"] == "loud"]
    assert seen == list(range(MOST - 6))


def test_where_nobody_has_more_than_a_share_the_best_are_asked_for_once():
    rows, calls = waiting(*(f"user{number // 2}" for number in range(3 * MOST))), []
    assert chosen(asked(rows, calls), MOST) == rows[:MOST]
    assert calls == [[]]


def test_many_who_send_much_are_asked_about_a_bounded_number_of_times():
    rows, calls = waiting(*(f"user{number // 50}" for number in range(60 * MOST))), []
    assert len(chosen(asked(rows, calls), MOST)) == MOST
    assert len(calls) == PASSES


@given(st.lists(st.integers(0, 6), max_size=40))
def test_first_shares_are_exact(owners):
    rows = waiting(*map(str, owners))
    most, share = 20, 2

    def best(but):
        return [row for row in rows if row["owner"] not in but][: LOOK * most]

    placed, first = {}, []
    for row in rows:
        placed[row["owner"]] = placed.get(row["owner"], 0) + 1
        if placed[row["owner"]] <= share:
            first.append(row)
    held = fairness.SHARES
    fairness.SHARES = most // share
    try:
        found = chosen(best, most)
    finally:
        fairness.SHARES = held
    assert found[: len(first)] == first[:most]
    assert len(found) == min(most, len(rows))
    assert len({row["seq"] for row in found}) == len(found)
