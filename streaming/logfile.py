"""A log of topics in one SQLite file that several processes write and read at once: the embedded bus's storage.

Write-ahead logging with ``synchronous=NORMAL``: what was committed outlives the death of any process. After a power
cut the last moments may be missing, as with Kafka, and the file is whole all the same. The file has to lie on a
local disk: SQLite's write-ahead log needs memory shared between its processes.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vigie.errors import BusUnavailable
from vigie.ports import Message, Record

APPLICATION_ID = 0x56494749  # "VIGI", in the header of the file
PARTITION = 0  # one a topic: the order of the file is the order of every key, and one reader keeps up with one disk
LOCK_TIMEOUT_S = 10.0
PAGE_BYTES = 16_384  # a picture of 50 KB is a chain of 4 pages to write, and to free again, in place of 13

_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    next_offset INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL,
    key TEXT NOT NULL, headers TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (topic, offset));
CREATE TABLE IF NOT EXISTS offsets (
    consumers TEXT NOT NULL, topic TEXT NOT NULL, next_offset INTEGER NOT NULL, PRIMARY KEY (consumers, topic));
CREATE TABLE IF NOT EXISTS leases (
    consumers TEXT NOT NULL, topic TEXT NOT NULL, member TEXT NOT NULL, session TEXT NOT NULL,
    until REAL NOT NULL, PRIMARY KEY (consumers, topic));
"""

_ADVICE = {
    "SQLITE_FULL": "the disk is full; free some space or name another path",
    "SQLITE_IOERR": "the disk refuses (full, over a quota, or broken); free some space or name another path",
    "SQLITE_CANTOPEN": "it cannot be opened; see that the folder can be written",
    "SQLITE_READONLY": "it cannot be written; see to its permissions or name another path",
    "SQLITE_NOTADB": "it is no SQLite database; move it away or name another path",
    "SQLITE_CORRUPT": "the database is damaged; move it away, and a new one is made",
    "SQLITE_BUSY": f"another process has kept it locked for more than {LOCK_TIMEOUT_S:g} s; see what holds it",
}


@dataclass(frozen=True, slots=True)
class Lease:
    """Which session of which member reads a topic for its group, and until when (Unix time in seconds)."""

    member: str
    session: str
    until: float


class LogFile:
    """One connection to the file; not shared between threads without a lock.

    Every method raises BusUnavailable, naming the file and what to do, when SQLite refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            with self._explained():
                self._prepare()
        except BusUnavailable:
            self._db.close()
            raise
        self._seen = -1

    def _prepare(self) -> None:
        self._db.execute(f"PRAGMA page_size={PAGE_BYTES}")
        owner = self._one("PRAGMA application_id")
        if owner != APPLICATION_ID and self._one("SELECT count(*) FROM sqlite_master"):
            raise BusUnavailable(f"{self.path}: this SQLite database is not a message log; name another path")
        self._write_ahead()
        self._db.execute("PRAGMA synchronous=NORMAL")
        if owner != APPLICATION_ID:
            with self._writing():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")

    def _write_ahead(self) -> None:
        """SQLite does not wait for the lock that this change needs: try until another opener is done with it."""
        give_up_at = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.01)

    def ensure_topics(self, names: Iterable[str]) -> None:
        with self._explained():
            known = {name for (name,) in self._db.execute("SELECT name FROM topics")}
            missing = [(name,) for name in names if name not in known]
            if missing:
                with self._writing():
                    self._db.executemany("INSERT OR IGNORE INTO topics (name) VALUES (?)", missing)

    def append(self, messages: Sequence[tuple[Message, int]], max_topic_bytes: int) -> None:
        """Write messages with their sizes in one transaction.

        A topic keeps its newest `max_topic_bytes`: a reader that is further behind loses the oldest, and says so.
        """
        with self._explained(), self._writing():
            for name in {message.topic for message, _ in messages}:
                self._append(name, [entry for entry in messages if entry[0].topic == name], max_topic_bytes)

    def _append(self, name: str, messages: Sequence[tuple[Message, int]], max_topic_bytes: int) -> None:
        row = self._db.execute("SELECT id, next_offset, bytes FROM topics WHERE name=?", (name,)).fetchone()
        if row is None:
            raise BusUnavailable(f"{self.path}: there is no topic {name!r}; make it with ensure_topics first")
        topic, offset, stored = row
        self._db.executemany(
            "INSERT INTO records (topic, offset, size, key, headers, value) VALUES (?, ?, ?, ?, ?, ?)",
            (
                (topic, offset + place, size, message.key, json.dumps(dict(message.headers)), message.value)
                for place, (message, size) in enumerate(messages)
            ),
        )
        stored += sum(size for _, size in messages)
        stored -= self._trim(topic, stored - max_topic_bytes)
        self._db.execute("UPDATE topics SET next_offset=?, bytes=? WHERE id=?", (offset + len(messages), stored, topic))

    def _trim(self, topic: int, excess: int) -> int:
        """Delete the oldest records until at least `excess` bytes are gone; return how many."""
        freed = 0
        upto = -1
        if excess > 0:
            for offset, size in self._db.execute(
                "SELECT offset, size FROM records WHERE topic=? ORDER BY offset", (topic,)
            ):
                freed, upto = freed + size, offset
                if freed >= excess:
                    break
            self._db.execute("DELETE FROM records WHERE topic=? AND offset<=?", (topic, upto))
        return freed

    def read(self, name: str, offset: int, limit: int) -> list[Record]:
        """At most `limit` records of a topic from `offset` on."""
        with self._explained():
            rows = self._db.execute(
                "SELECT offset, key, headers, value FROM records WHERE topic=(SELECT id FROM topics WHERE name=?)"
                " AND offset>=? ORDER BY offset LIMIT ?",
                (name, offset, limit),
            ).fetchall()
        return [Record(Message(name, key, value, json.loads(text)), PARTITION, at) for at, key, text, value in rows]

    def bounds(self, name: str) -> tuple[int, int] | None:
        """The offset of the oldest record and the one that the next will get; None where there is no such topic."""
        with self._explained():
            row = self._db.execute("SELECT id, next_offset FROM topics WHERE name=?", (name,)).fetchone()
            if row is None:
                return None
            topic, end = row
            first = self._one("SELECT min(offset) FROM records WHERE topic=?", topic)
        return (end if first is None else first), end

    def committed(self, group: str, name: str) -> int | None:
        """Where the group goes on; None where it has not committed anything yet."""
        with self._explained():
            row = self._db.execute("SELECT next_offset FROM offsets WHERE consumers=? AND topic=?", (group, name))
            return next((int(offset) for (offset,) in row), None)

    def commit(self, group: str, session: str, offsets: Mapping[str, int]) -> list[str]:
        """Move the group behind what is done, in topics that the session holds; return those that it does not."""
        with self._explained(), self._writing():
            leases = self._leases(group)
            lost = [name for name in offsets if name not in leases or leases[name].session != session]
            self._db.executemany(
                "INSERT INTO offsets VALUES (?, ?, ?) ON CONFLICT (consumers, topic)"
                " DO UPDATE SET next_offset=max(next_offset, excluded.next_offset)",
                [(group, name, offset) for name, offset in offsets.items() if name not in lost],
            )
        return lost

    def leases(self, group: str) -> dict[str, Lease]:
        """Topic -> who reads it for the group."""
        with self._explained():
            return self._leases(group)

    def claim(self, group: str, names: Sequence[str], member: str, session: str, lease_s: float) -> None:
        """Take those topics that nobody holds, whose holder is late, or that an older session of `member` holds."""
        with self._explained(), self._writing():
            now = time.time()
            leases = self._leases(group)
            free = [name for name in names if name not in leases or leases[name].until < now]
            own = [name for name in names if name in leases and leases[name].member == member]
            self._db.executemany(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)",
                [(group, name, member, session, now + lease_s) for name in {*free, *own}],
            )

    def renew(self, session: str, lease_s: float) -> None:
        with self._explained():
            self._db.execute("UPDATE leases SET until=? WHERE session=?", (time.time() + lease_s, session))

    def release(self, session: str) -> None:
        with self._explained():
            self._db.execute("DELETE FROM leases WHERE session=?", (session,))

    def changed(self) -> bool:
        """Whether another connection has written since the last call; costs some microseconds."""
        with self._explained():
            version = int(self._one("PRAGMA data_version"))
        changed = version != self._seen
        self._seen = version
        return changed

    def close(self) -> None:
        self._db.close()

    def _leases(self, group: str) -> dict[str, Lease]:
        rows = self._db.execute("SELECT topic, member, session, until FROM leases WHERE consumers=?", (group,))
        return {name: Lease(*rest) for name, *rest in rows}

    def _one(self, query: str, *values: object) -> Any:
        row = self._db.execute(query, values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has already rolled back after some errors, a full disk among them
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BusUnavailable(f"{self.path}: {error.strerror}; see that the folder can be written") from error
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            advice = next((text for known, text in _ADVICE.items() if name.startswith(known)), str(error))
            raise BusUnavailable(f"{self.path}: {advice}") from error
