"""What gates said of versions, for whoever words it in another language than the record's.

Trail: hone/tuning.py -> here
"""

from typing import Any

from feedback.store import Store


def said(store: Store, after: int = 0) -> list[dict[str, Any]]:
    """Every verdict after that event, the oldest first: `seq, version, reasons`, and the reasons `coded`."""
    return store.rows(
        """SELECT seq, version, reasons, scorecard->'coded' AS coded FROM evaluations
        WHERE seq > $1 ORDER BY seq""",
        [after],
    )
