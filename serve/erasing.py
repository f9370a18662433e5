"""What the pages and the API may ask of the place where the parts meet: to erase, and what was erased.

Kept by `hone/erasing.py`, because an erasure reaches what `serve` does not know: runs, versions, files.
"""

from typing import Any, Protocol

from feedback.affected import Policy
from feedback.reach import Scope
from feedback.records import Principal


class Erasing(Protocol):
    async def preview(
        self, principal: Principal, scope: Scope, target: str, *, account: bool = False
    ) -> dict[str, Any]:
        """What it would take, and the `policy` on versions that learnt from it; nothing is changed."""
        ...

    async def erase(
        self,
        principal: Principal,
        scope: Scope,
        target: str,
        *,
        account: bool = False,
        policy: Policy | None = None,
    ) -> dict[str, Any]:
        """Erase, and return the signed receipt.

        Raises:
            TryLater: Whoever is no operator just had something erased.
        """
        ...

    async def listed(self) -> list[dict[str, Any]]: ...

    async def receipt(self, erasure_id: str) -> dict[str, Any]: ...

    async def verify(self, told: dict[str, Any]) -> bool: ...
