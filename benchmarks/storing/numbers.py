"""The ids, times and orders of a filled store's rows, as SQL of a row's number `i`. Knows no table."""

OWNERS = 5_000
LOUD, LOUD_SHARE = "loud", 20
"""One who alone has one in so many of all conversations."""
TURNS = 4
"""Exchanges a conversation."""
STEP = 6
"""Events of an exchange that must lie apart in the order of arrival."""


def key(kind: int, number: str = "i") -> str:
    """A UUIDv7 made of a row's number, in the order of the numbers."""
    return f"format('{{:08x}}-{kind:04x}-7000-8000-{{:012x}}', ({number})::BIGINT, ({number})::BIGINT)::UUID"


def exchange(number: str = "i") -> str:
    return key(2, number)


def conversation() -> str:
    return key(1, f"i // {TURNS}")


def answer_id(exchange_id: str) -> str:
    """uuid5(exchange, "answer"), as `feedback.exchanges.answer_id` makes it."""
    digest = f"sha1(unhex(replace({exchange_id}::VARCHAR, '-', '')) || 'answer'::BLOB)"
    variant = "substr('89ab', 1 + ('0x' || substr(h, 17, 1))::INTEGER % 4, 1)"
    parts = f"substr(h, 1, 12) || '5' || substr(h, 14, 3) || {variant} || substr(h, 18, 15)"
    return f"list_transform([{digest}], lambda h: ({parts})::UUID)[1]"


def seq(place: int) -> str:
    """The `place`-th event, from 1, of an exchange; the tables whose events share one are never compared."""
    return f"i * {STEP} + {place}"


def at(exchanges: int) -> str:
    """The exchanges are spread over a year that is over."""
    return f"TIMESTAMP '2025-11-01' + to_microseconds((i * {365 * 86_400_000_000 // exchanges})::BIGINT)"


def hashed(what: int) -> str:
    """A number from 0 to 999 that is always the same for a row, and another for each `what`."""
    return f"hash(i + {what}) % 1000"
