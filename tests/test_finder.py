"""Every occurrence of every string is found, and nothing else, wherever it lies and whatever overlaps it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback import finder
from feedback.finder import Finder


def numbered(strings):
    return {string: number for number, string in enumerate(strings)}


def plainly(strings, data):
    """The finds by the plainest means."""
    found = []
    for place, string in enumerate(strings):
        at = data.find(string)
        while at >= 0:
            found.append((place, at, at + len(string)))
            at = data.find(string, at + 1)
    return sorted(found)


@given(
    data=st.text("ab\x00", max_size=300).map(str.encode) | st.binary(max_size=300),
    cuts=st.lists(st.tuples(st.integers(0, 300), st.integers(finder.SHORTEST, 60)), max_size=12),
    piece=st.sampled_from([1, 7, 64, finder.PIECE]),
)
def test_what_is_found_is_what_is_there(data, cuts, piece):
    strings = {data[start : start + length] for start, length in cuts} | {b"nowhere in it", b"a" * 16}
    strings = sorted(string for string in strings if len(string) >= finder.SHORTEST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finder, "PIECE", piece)
        assert sorted(Finder(numbered(strings)).spans(data)) == plainly(strings, data)


@pytest.mark.parametrize("length", range(finder.SHORTEST, 40))
def test_a_string_of_any_length_is_found_at_any_place_up_to_the_last_byte(length):
    string = bytes(range(100, 100 + length))
    for before in range(9):
        for after in (b"", b"-", b"-----"):
            data = b"." * before + string + after
            assert list(Finder({string: 0}).spans(data)) == [(0, before, before + length)]


def test_what_is_too_short_to_be_found_is_refused_and_nothing_finds_nothing():
    with pytest.raises(AssertionError, match="too short"):
        Finder({b"x" * (finder.SHORTEST - 1): 0})
    assert list(Finder({}).spans(b"anything")) == []


def test_strings_whose_hashes_are_equal_are_told_apart(monkeypatch):
    monkeypatch.setattr(finder, "_ODD", finder._ODD * 0)
    strings = [b"The heron waits in the reeds", b"until the tide has gone, and longer"]
    data = b"--".join([*strings, *strings])
    assert sorted(Finder(numbered(strings)).spans(data)) == plainly(strings, data)
