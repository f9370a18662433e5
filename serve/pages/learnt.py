"""Which versions learnt from what a conversation shows. Knows no page."""

from collections.abc import Sequence

from feedback import lineage
from feedback.records import Exchange
from feedback.store import Store


def shipped(store: Store, line: Sequence[Exchange]) -> dict[str, str]:
    """The newest version that learnt from each exchange of a conversation."""
    approved = [exchange.id for exchange in line if exchange.state == "approved"]
    return lineage.shipped(store, line[0].assistant, approved) if approved else {}
