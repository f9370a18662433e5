"""The text of a file as far as it was read: of a JSON list or a CSV, never more than one record.

Knows no record's meaning.

Trail: feedback/files.py -> here
"""

import csv
import io
import json
from typing import Any, BinaryIO

MAX_RECORD = 16 * 2**20
"""Bytes of one record; a file with more in one place is no file of records."""
PIECE = 2**20


class Ahead:
    """The text of a JSON list as far as it was read, and the place up to which it was taken."""

    def __init__(self, file: BinaryIO) -> None:
        self._text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        self._held, self._at = "", 0
        self._decoder = json.JSONDecoder()

    def next(self) -> str:
        """The next character that is no space, which is not taken; at the end none."""
        while True:
            while self._at < len(self._held):
                character = self._held[self._at]
                if not character.isspace() and character != "\ufeff":
                    return character
                self._at += 1
            self._held, self._at = self._text.read(PIECE), 0
            if not self._held:
                return ""

    def pass_over(self, character: str) -> None:
        """Take this character, if it is the next one."""
        if self.next() == character:
            self._at += 1

    def item(self) -> Any:
        """Take the value that comes next, read on as far as it goes."""
        while True:
            try:
                item, self._at = self._decoder.raw_decode(self._held, self._at)
                return item
            except json.JSONDecodeError:
                more = self._text.read(PIECE)
                if not more or len(self._held) - self._at > MAX_RECORD:
                    raise
                self._held, self._at = self._held[self._at :] + more, 0


class Lines:
    """The lines of a CSV; `taken` counts the characters of one record, which stay within what it may have."""

    def __init__(self, file: BinaryIO) -> None:
        self._text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        self.taken = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_RECORD)
        if not line:
            raise StopIteration
        self.taken += len(line)
        if self.taken >= MAX_RECORD:
            while line and not line.endswith(("\n", "\r")):
                line = self._text.readline(MAX_RECORD)
            raise csv.Error(f"a record is longer than {MAX_RECORD:,} characters")
        return line
