"""What could keep the record past one web process: PostgreSQL, or DuckLake on a PostgreSQL catalog.

python -m benchmarks.stores [--batches 20]     with PostgreSQL's programs and psycopg2; for DuckLake
            duckdb==1.5.5 with duckdb-extension-ducklake and duckdb-extension-postgres-scanner of that version

Each is asked for what the record needs and one DuckDB file gives to one process only: three processes
write at once, a batch that is sent again is the same rows, of three claims on one exchange one holds
and the newest wins, and erased words are in no file afterwards.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

WRITERS, ROWS, CLAIMS, TRIES = 3, 50, 20, 50
WORDS = "Kirkcaldy-linoleum"


def row_id(writer: int, batch: int, row: int) -> str:
    """The same for a batch that is sent again, as ids are minted by the caller."""
    return str(UUID(int=(writer << 64) + (batch << 32) + row))


class Postgres:
    """Events with a primary key; the key is what makes a repeated write the same row."""

    name = "PostgreSQL"

    def __init__(self, port: int, folder: Path) -> None:
        import psycopg2

        self._port = port
        self._db = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres")

    def lay(self) -> None:
        self._do("CREATE TABLE exchanges (id uuid PRIMARY KEY, owner text, words text)")
        self._do("CREATE TABLE claims (exchange int PRIMARY KEY, holder int, made float8)")

    def write(self, rows: list[tuple[str, str, str]]) -> None:
        from psycopg2.extras import execute_values

        with self._db, self._db.cursor() as at:
            execute_values(at, "INSERT INTO exchanges VALUES %s ON CONFLICT DO NOTHING", rows)

    def claim(self, exchange: int, holder: int, at: float) -> None:
        newest = (
            "DO UPDATE SET holder = EXCLUDED.holder, made = EXCLUDED.made WHERE claims.made < EXCLUDED.made"
        )
        self._do(f"INSERT INTO claims VALUES ({exchange}, {holder}, {at}) ON CONFLICT (exchange) {newest}")

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self._db, self._db.cursor() as at:
            at.execute(query)
            return list(at.fetchall())

    def erase(self, owner: str) -> None:
        self._do(f"UPDATE exchanges SET words = '' WHERE owner = '{owner}'")
        swept(self._port, "postgres")

    def _do(self, statement: str) -> None:
        with self._db, self._db.cursor() as at:
            at.execute(statement)


class DuckLake:
    """The same in Parquet files with a catalog in PostgreSQL; it knows no keys."""

    name = "DuckLake"

    def __init__(self, port: int, folder: Path) -> None:
        import duckdb

        self._port = port
        self._db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        for package in ("duckdb_extension_postgres_scanner", "duckdb_extension_ducklake"):
            found = importlib.util.find_spec(package)
            assert found
            assert found.submodule_search_locations
            (file,) = Path(next(iter(found.submodule_search_locations))).rglob("*.duckdb_extension")
            self._db.execute(f"LOAD '{file}'")
        where = f"host=127.0.0.1 port={port} user=postgres dbname=lake"
        self._db.execute(
            f"ATTACH 'ducklake:postgres:{where}' AS lake "
            f"(DATA_PATH '{folder / 'lake'}', DATA_INLINING_ROW_LIMIT 1000)"
        )
        self._db.execute("USE lake")

    def lay(self) -> None:
        self._db.execute("CREATE TABLE exchanges (id uuid, owner text, words text)")
        self._db.execute("CREATE TABLE claims (exchange int, holder int, made double)")

    def write(self, rows: list[tuple[str, str, str]]) -> None:
        """Without a key, what is there already must be looked for."""
        values = ", ".join(f"('{a}', '{b}', '{c}')" for a, b, c in rows)
        self._db.execute(
            f"INSERT INTO exchanges SELECT v.id::uuid, v.o, v.w FROM (VALUES {values}) v(id, o, w) "
            "WHERE v.id::uuid NOT IN (SELECT id FROM exchanges)"
        )

    def claim(self, exchange: int, holder: int, at: float) -> None:
        self._db.execute("BEGIN")
        try:
            held = self.ask(f"SELECT made FROM claims WHERE exchange = {exchange}")
            if not held or held[0][0] < at:
                self._db.execute(f"DELETE FROM claims WHERE exchange = {exchange}")
                self._db.execute(f"INSERT INTO claims VALUES ({exchange}, {holder}, {at})")
            self._db.execute("COMMIT")
        except Exception:
            self._db.execute("ROLLBACK")
            raise

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return self._db.execute(query).fetchall()

    def erase(self, owner: str) -> None:
        self._db.execute(f"UPDATE exchanges SET words = '' WHERE owner = '{owner}'")
        self._db.execute("CALL ducklake_flush_inlined_data('lake')")
        self._db.execute("CALL ducklake_rewrite_data_files('lake')")
        self._db.execute("CALL ducklake_expire_snapshots('lake', older_than => now())")
        self._db.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
        swept(self._port, "lake")  # small writes lie in the catalog until they are flushed


def swept(port: int, database: str) -> None:
    """Have PostgreSQL keep no row that is dead, and use the log of its writes again."""
    import psycopg2

    db = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname=database)
    db.autocommit = True
    with db.cursor() as at:
        at.execute("VACUUM FULL")
        for _ in range(3):
            at.execute("SELECT pg_switch_wal()")
            at.execute("CHECKPOINT")
    db.close()


KINDS: dict[str, Any] = {"postgres": Postgres, "ducklake": DuckLake}


def writer(kind: str, port: int, folder: Path, number: int, batches: int, told: Any) -> None:
    """One web process: its batches, one in five of them sent twice, then claims on what others claim too."""
    store = KINDS[kind](port, folder)
    times, again, began = [], 0, time.monotonic()

    def tried(work: Any, *given: Any) -> None:
        nonlocal again
        for attempt in range(TRIES):
            try:
                return work(*given)
            except Exception:
                if attempt == TRIES - 1:
                    raise
                again += 1
                time.sleep(0.01 * (number + 1))

    for batch in range(batches):
        words = WORDS if number == 0 else "kept"
        rows = [(row_id(number, batch, row), f"owner{number}", words) for row in range(ROWS)]
        for _ in range(2 if batch % 5 == 0 else 1):
            begun = time.monotonic()
            tried(store.write, rows)
            times.append(time.monotonic() - begun)
    written = time.monotonic()
    for exchange in range(CLAIMS):
        tried(store.claim, exchange, number, float((exchange + number) % WRITERS))
    told.put((times, again, began, written))


def compare(kind: str, port: int, folder: Path, batches: int) -> dict[str, Any]:
    store = KINDS[kind](port, folder)
    store.lay()
    processes = get_context("spawn")
    told = processes.Queue()
    writers = [
        processes.Process(target=writer, args=(kind, port, folder, n, batches, told)) for n in range(WRITERS)
    ]
    for one in writers:
        one.start()
    parts = [told.get(timeout=200) for _ in writers]
    for one in writers:
        one.join()
    # The clock is the machine's, so the processes' starts do not count.
    seconds = max(part[3] for part in parts) - min(part[2] for part in parts)
    times = sorted(t for part in parts for t in part[0])
    rows, distinct = store.ask("SELECT count(*), count(DISTINCT id) FROM exchanges")[0]
    claims = store.ask("SELECT exchange, made FROM claims")
    store.erase("owner0")
    left = store.ask("SELECT count(*) FROM exchanges WHERE words <> ''")[0][0]
    return {
        "store": KINDS[kind].name,
        "rows a second": round(WRITERS * batches * ROWS / seconds),
        "commit p50, ms": round(times[len(times) // 2] * 1000, 1),
        "commit p99, ms": round(times[int(len(times) * 0.99)] * 1000, 1),
        "tried again": sum(part[1] for part in parts),
        "repeated writes are the same row": rows == distinct == WRITERS * batches * ROWS,
        "newest claim wins": len(claims) == CLAIMS and all(at == WRITERS - 1 for _, at in claims),
        "erased, others kept": left == (WRITERS - 1) * batches * ROWS,
        "files that still have erased words": len(files_with(WORDS, folder)),
    }


def files_with(words: str, folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and words.encode() in p.read_bytes()]


@contextmanager
def postgres(folder: Path) -> Iterator[int]:
    """A server of its own, as an account that is not root's."""
    programs = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
    place, port, data = Path(programs.stdout.strip()), 5599, folder / "pg"
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    run = as_user if os.geteuid() == 0 else []
    if run:
        subprocess.run(["chown", "postgres", str(folder)], check=True)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    server = [*run, str(place / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w"]
    quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([*run, str(place / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"], **quiet)
    subprocess.run([*server, "-o", options, "start"], **quiet)
    try:
        where = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
        subprocess.run([str(place / "createdb"), *where, "lake"], **quiet)
        yield port
    finally:
        subprocess.run([*server, "-m", "immediate", "stop"], **quiet)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores")
    parser.add_argument(
        "--batches", type=int, default=20, help=f"of {ROWS} rows, by each of {WRITERS} writers"
    )
    parser.add_argument("--only", choices=KINDS)
    options = parser.parse_args()
    found = []
    for kind in [options.only] if options.only else KINDS:
        with tempfile.TemporaryDirectory(prefix="stores-") as folder, postgres(Path(folder)) as port:
            found.append(compare(kind, port, Path(folder), options.batches))
    for line in found[0]:
        print(f"| {line} | " + " | ".join(str(one[line]) for one in found) + " |")


if __name__ == "__main__":
    sys.exit(main())
