"""Finding exchanges by their words: an index beside the store, made from the events by a thread of its own.

A word is a run of letters and digits; of Korean, Chinese and Japanese, which don't part their words, every
character and every two in a row. All of the asked words must be in an exchange: in its instruction, its
answer, or what its newest rating says. The index holds digests of words, no text; it can be deleted at any
time and is made again. What reviewers may see is `queue.py`'s to say.

Trail: feedback/store.py -> here -> feedback/lookup.py, feedback/queue.py
"""

import logging
import threading
from pathlib import Path
from typing import Any

from feedback import lookup, queue, word_index
from feedback.errors import BadRequest
from feedback.records import Exchange
from feedback.store import Store

MAX_QUERY = 200
_MINE = "s.owner = $1 AND s.state <> 'erased' AND s.source NOT LIKE 'proposal:%'"
"""SQL for what a person said themselves."""
"""Characters of one question."""
MAX_WORDS = 24
SECONDS = 1.0
"""How often it is looked whether something new is to be indexed."""
PATIENCE = 10.0
"""Seconds until indexing is tried again after it failed."""
EVENTS_AT_ONCE = 100_000
COMMON = 20_000
"""Postings from which on a word is common: enough of its finds are among the newest to look there first."""
SHALLOW = 16
"""The share of all events that is looked at first is one of so many."""

log = logging.getLogger(__name__)


class Search:
    """The words of one store; `path` is the index's file. Indexing begins with `start`."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._indexing = threading.Lock()
        store.attach(word_index.NAME, path, lambda cursor: word_index.prepare(cursor, store.newest))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="search-index", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the piece it is at."""
        self._ended.set()
        if self._thread.ident:
            self._thread.join()

    def to_review(
        self,
        words: str,
        viewer: str,
        *,
        state: str | None = None,
        assistant: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[str]:
        """Ids among what this reviewer may see (`queue.found` shows them as they may), the newest first.

        `state` is pending, approved or rejected.

        Raises:
            BadRequest: There is no word in `words`, or there are too many.
        """
        visible = f"({queue.VISIBLE}) AND ($2 IS NULL OR s.state = $2) AND ($3 IS NULL OR s.assistant = $3)"
        return self._find(words, visible, [viewer, state, assistant], limit, offset)

    def own(
        self, words: str, owner: str, *, assistant: str | None = None, limit: int = 50, offset: int = 0
    ) -> list[Exchange]:
        """Among what a person said themselves; the newest first.

        Raises:
            BadRequest: There is no word in `words`, or there are too many.
        """
        visible = f"{_MINE} AND ($2 IS NULL OR s.assistant = $2)"
        return lookup.load(self._store, self._find(words, visible, [owner, assistant], limit, offset))

    def own_conversations(self, words: str, owner: str, *, limit: int = 200) -> list[str]:
        """Ids of the conversations that `own` finds something in."""
        held = " AND ".join(word_index.holds(token, 0) for token in self._tokens(words))
        asked = f"""SELECT s.conversation_id FROM exchange_state s WHERE {_MINE} AND {held}
            GROUP BY s.conversation_id ORDER BY max(s.at) DESC LIMIT $2"""  # noqa: S608
        return [row["conversation_id"] for row in self._store.rows(asked, [owner, limit])]

    def _find(self, words: str, visible: str, params: list[Any], limit: int, offset: int) -> list[str]:
        """The page at `offset`; where no word is rare, it is looked for among the newest events first."""
        tokens = self._tokens(words)
        places = f"LIMIT ${len(params) + 1} OFFSET ${len(params) + 2}"
        page: list[str] = []
        for after in self._depths(tokens):
            held = " AND ".join(word_index.holds(token, after) for token in tokens)
            query = f"""SELECT s.exchange_id FROM exchange_state s
                WHERE s.seq > {after} AND {visible} AND {held} ORDER BY s.at DESC, s.seq DESC {places}"""  # noqa: S608
            page = [row["exchange_id"] for row in self._store.rows(query, [*params, limit, offset])]
            if len(page) == limit:
                break
        return page

    def _depths(self, tokens: list[int]) -> list[int]:
        """After which `seq` to look, one after the other; the last is the beginning."""
        row = self._store.row(word_index.frequencies(tokens))
        assert row is not None
        newest = self._store.newest
        return [newest - newest // SHALLOW, 0] if row["least"] > COMMON else [0]

    def behind(self) -> int:
        """How many events wait to be indexed; what is asked meanwhile is not found in them."""
        row = self._store.row(word_index.MADE)
        assert row is not None
        return max(0, self._store.newest - int(row["seq"]))

    def catch_up(self) -> None:
        """Index everything that is committed."""
        while not self._ended.is_set() and self._step():
            pass

    def forget(self) -> None:
        """Write the file anew without the digests of words that were erased or deleted; others search on."""
        with self._indexing:
            self._store.renew(word_index.NAME, word_index.copy)

    def rebuild(self) -> None:
        """Forget every word and its digest, and index from the beginning; until then less is found."""
        with self._indexing:
            self._store.renew(word_index.NAME)

    def _tokens(self, words: str) -> list[int]:
        if len(words) > MAX_QUERY:
            raise BadRequest(f"A search has at most {MAX_QUERY} characters.", "Look for fewer words.")
        row = self._store.row(word_index.asked(), [words])
        assert row is not None
        if not row["tokens"]:
            raise BadRequest("There is no word to look for.", "Type letters or digits.")
        if len(row["tokens"]) > MAX_WORDS:
            raise BadRequest(f"A search has at most {MAX_WORDS} words.", "Look for fewer.")
        return list(row["tokens"])

    def _work(self) -> None:
        """Index what is new until the end; a fault is told and tried again, and a broken index made anew."""
        faults = 0
        while not self._ended.wait(SECONDS if faults == 0 else PATIENCE):
            try:
                if faults == 3:
                    self.rebuild()
                self.catch_up()
                faults = 0
            except Exception as fault:
                faults = faults % 3 + 1
                log.warning("the search index waits: %s", fault)

    def _step(self) -> bool:
        """Index one piece of what is new; False if nothing is."""
        with self._indexing:
            newest = self._store.newest
            with self._store.aside() as cursor:
                return word_index.extend(cursor, newest, EVENTS_AT_ONCE)
