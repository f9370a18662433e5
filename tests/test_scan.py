"""The proof finds words however they are written, and says how many are too short to be looked for."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feedback import scan, word_files
from feedback.scan import Needles

LATIN = "The heron waits in the reeds until the tide has gone"
KOREAN = "왜가리는 썰물이 질 때까지 갈대밭에서 기다립니다"


@pytest.mark.parametrize("text", [LATIN, KOREAN])
@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: json.dumps({"said": text}).encode(),
        lambda text: json.dumps(json.dumps({"said": f'"{text}"\n'}, ensure_ascii=False)).encode(),
        lambda text: json.dumps(text).replace("\\ub", "\\uB").replace("\\uc", "\\uC").encode(),
        repr,
    ],
    ids=["utf-8", "utf-16-le", "utf-16-be", "json", "json in json", "upper-case escapes", "repr"],
)
def test_a_text_is_found_however_it_is_written(tmp_path, text, written):
    content = written(text)
    if written(text) == json.dumps(text).replace("\\ub", "\\uB").replace("\\uc", "\\uC").encode():
        content = "".join(f"\\u{ord(c):04X}" if ord(c) > 127 else c for c in text).encode()
    (tmp_path / "file").write_bytes(
        b"\x00\xff" + (content if isinstance(content, bytes) else content.encode())
    )
    needles = Needles(scan.fragments([text]))
    found = scan.through(tmp_path, [tmp_path / "file"], needles)
    assert found.where == {"file": len(needles.fragments)}


def test_any_piece_of_a_long_text_that_is_twice_a_window_is_found(tmp_path):
    text = " ".join(f"word{n:04d}" for n in range(200))
    needles = Needles(scan.fragments([text]))
    for start in range(0, 200, 37):
        assert needles.inside(text[start : start + 2 * scan.WINDOW].encode())


def test_a_find_across_two_pieces_of_a_file_is_not_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "PIECE", 16)
    (tmp_path / "file").write_bytes(b"x" * 11 + LATIN.encode() + b"y" * 29)
    needles = Needles(scan.fragments([LATIN]))
    assert len(scan.in_file(tmp_path / "file", needles)) == len(needles.fragments)


def test_a_column_is_looked_through_row_by_row():
    rows = [None, LATIN[:20], LATIN[20:], "", f"«{KOREAN}»", "", LATIN + LATIN, None, KOREAN[:9], KOREAN[9:]]
    needles = Needles([LATIN, KOREAN])
    found = {(4, KOREAN), (6, LATIN)}
    for kind in (pa.string(), pa.large_string(), pa.large_binary()):
        column = pa.array([row and row.encode() for row in rows], pa.binary()).cast(kind)
        assert needles.in_column(column) == found
        assert needles.in_column(column.slice(4, 3)) == {(row - 4, text) for row, text in found}
        assert needles.in_column(column.slice(5, 1)) == set()
        assert needles.in_column(column.slice(5, 0)) == set()
    for nothing in (pa.array([], pa.string()), pa.nulls(3, pa.string()), pa.array(["", ""])):
        assert needles.in_column(nothing) == set()
    assert Needles([]).in_column(pa.array([LATIN])) == set()


def test_compressed_parquet_is_read(tmp_path):
    table = pa.table({"messages": [json.dumps([{"role": "user", "content": KOREAN}])] * 50})
    pq.write_table(table, tmp_path / "train.parquet", compression="zstd")
    needles, path = Needles(scan.fragments([KOREAN])), tmp_path / "train.parquet"
    assert scan.through(tmp_path, [path], needles).where == {"train.parquet": 1}
    path.write_bytes(b"PAR1 broken")
    assert scan.through(tmp_path, [path], needles).where == {}
    path.write_bytes(b"PAR1 broken" + KOREAN.encode())
    assert scan.through(tmp_path, [path], needles).where == {"train.parquet": 1}


def test_texts_too_short_to_look_for_are_counted():
    assert scan.too_short(["Hi", "네", LATIN, 'a"b"c\nd']) == 3
    assert scan.fragments(["Hi"]) == []
    assert not Needles([]).inside(b"anything")


def test_links_are_not_followed_and_only_what_can_hold_words_is_read(tmp_path):
    outside, home, run = tmp_path / "outside", tmp_path / "home", tmp_path / "home" / "runs" / "0001-general"
    outside.write_text(LATIN)
    run.mkdir(parents=True)
    (home / "engine.log").symlink_to(outside)
    for path in (home / "hone.toml", run / "plan.json", run / "training.log"):
        path.write_text(LATIN)
    assert list(word_files.everywhere(home, [run])) == [run / "training.log"]
    assert list(word_files.logs(home, [run])) == [run / "training.log"]
