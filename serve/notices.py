"""What the pages and the API may ask of what tells operators, without knowing it: how notices arrive."""

from typing import Any, Protocol


class Notices(Protocol):
    """The keeper of notices as an operator sees it."""

    def told(self) -> dict[str, Any]:
        """`places` with `channel, name, waiting, delivered_at, kind, failed_at, fault`, and how many notices
        were let go (`dropped`); places are none where nothing is set."""
        ...

    async def test(self) -> list[dict[str, Any]]:
        """Send a notice to every place at once: `channel, name, fault`, which is empty where it arrived.

        Raises:
            Conflict: No place is set.
        """
        ...
