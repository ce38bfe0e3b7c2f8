"""The site's database is opened in one revision only, and moved up and back with nothing lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from compliance.command import main
from compliance.errors import NotReady
from site_node.federation.agent import only_one
from site_node.store import schema
from site_node.store.database import Base
from site_node.store.journal import close_store
from site_node.store.schema import HEAD, MIGRATIONS, UNNAMED, move, open_store

BEFORE = Path(__file__).with_name("before_revisions.sql")
READ, ADD = "SELECT * FROM {}", "INSERT INTO {} VALUES ({})"
Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(path: Path) -> Rows:
    """Every row of every table but the revision's own."""
    with closing(sqlite3.connect(path)) as database:
        query = (
            "SELECT name FROM sqlite_master WHERE type = 'table' "
            "AND name NOT IN ('alembic_version', 'sqlite_sequence')"
        )
        names = [row[0] for row in database.execute(query)]
        return {name: sorted(database.execute(READ.format(name)), key=repr) for name in names}


def shape_of(path: Path) -> list[tuple[str, str]]:
    """Tables with their columns, and triggers, whatever order they were made in."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT name, type FROM sqlite_master WHERE sql IS NOT NULL"
        found = []
        for name, kind in database.execute(query).fetchall():
            columns = database.execute(f"PRAGMA table_info({name})").fetchall()
            found.append((f"{kind} {name}", repr(columns)))
    return sorted(found)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A home whose database the release before revisions made, with a row in every table."""
    path = tmp_path / "north" / "site.sqlite"
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(BEFORE.read_text(encoding="utf-8"))
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (name,) in database.execute(query).fetchall():
            columns = database.execute(f"PRAGMA table_info({name})").fetchall()
            values = [_value(number, kind) for number, _, kind, *_ in columns]
            marks = ", ".join("?" for _ in values)
            database.execute(ADD.format(name, marks), values)
        database.commit()
    return path


def _value(number: int, kind: str) -> Any:
    kinds = {"INTEGER": 7 + number, "BOOLEAN": 1, "BLOB": b"\x00\xff", "JSON": '{"a": 1}'}
    return kinds.get(kind, f"words {number}")


def site(path: Path, *words: str) -> int:
    """Type a command at this site."""
    return main(["site", *words, "--home", str(path.parent)])


def test_the_newest_revision_is_the_one_that_this_release_opens() -> None:
    """A migration that nobody named in `HEAD` would lock every site out."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_new_database_and_an_upgraded_one_are_the_same(old: Path, tmp_path: Path) -> None:
    """Made at once or step by step: the same tables, columns and guards."""
    close_store(open_store(tmp_path / "new.sqlite"))
    assert move(old) == (UNNAMED, HEAD)
    assert shape_of(old) == shape_of(tmp_path / "new.sqlite")


def test_an_older_database_is_refused_with_the_command_that_helps(old: Path, capsys: Any) -> None:
    """Nothing is changed by looking."""
    before = rows_of(old), shape_of(old)
    assert site(old, "datasets") == 2
    assert "Run `consilium site upgrade`" in capsys.readouterr().err
    assert (rows_of(old), shape_of(old)) == before


def test_a_site_is_upgraded_and_goes_back_with_nothing_lost(old: Path, capsys: Any) -> None:
    """Every row of every table is there after each step, and the database before is kept."""
    rows = rows_of(old)
    assert site(old, "upgrade", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"before": UNNAMED, "after": HEAD}
    assert {name: rows_of(old)[name] for name in rows} == rows
    assert rows_of(old.with_name("site.before.sqlite")) == rows
    close_store(open_store(old))

    assert site(old, "upgrade", "--to", "0001") == 0
    assert {name: rows_of(old)[name] for name in rows} == rows


def test_what_the_older_release_does_not_know_is_found_again(old: Path) -> None:
    """Rows of a table that came with an upgrade outlive the way back."""
    move(old)
    with closing(sqlite3.connect(old)) as database:
        values = (1, *("words",) * 5, 7, *("words",) * 2)
        database.execute("INSERT INTO egress VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        database.commit()
    move(old, "0001")
    move(old)
    assert rows_of(old)["egress"] == [values]
    with closing(sqlite3.connect(old)) as database, pytest.raises(sqlite3.IntegrityError):
        database.execute("DELETE FROM egress")


def test_the_release_before_opens_what_came_back(old: Path) -> None:
    """It makes missing tables and looks at no revision: its guards and rows must hold."""
    move(old)
    move(old, "0001")
    with closing(sqlite3.connect(old)) as database, pytest.raises(sqlite3.IntegrityError):
        database.execute("DELETE FROM journal")
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(BEFORE.read_text(encoding="utf-8"))
        wanted = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    with closing(sqlite3.connect(old)) as database:
        found = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    assert wanted <= found


def test_an_upgrade_twice_changes_nothing_the_second_time(old: Path) -> None:
    """And the kept copy stays the one from before the move."""
    rows = rows_of(old)
    move(old)
    assert move(old) == (HEAD, HEAD)
    assert rows_of(old.with_name("site.before.sqlite")) == rows


def test_an_unknown_revision_and_a_missing_database_are_named(old: Path, tmp_path: Path) -> None:
    """One sentence each, nothing written."""
    before = old.read_bytes()
    with pytest.raises(NotReady, match="does not know the way to revision 9999"):
        move(old, "9999")
    assert old.read_bytes() == before
    with pytest.raises(NotReady, match="there is no database"):
        move(tmp_path / "none.sqlite")


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    """The sentence names the way back."""
    path = tmp_path / "site.sqlite"
    close_store(open_store(path))
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(NotReady, match=r"is of revision 9999.*with the newer one first"):
        open_store(path)
    with pytest.raises(NotReady, match="does not know the way"):
        move(path)


def test_a_site_that_serves_is_not_moved(old: Path, capsys: Any) -> None:
    """Neither while `site serve` holds the home, nor while a command reads the database."""
    with only_one(old.parent):
        assert site(old, "upgrade") == 2
    assert "served by another process" in capsys.readouterr().err
    with closing(sqlite3.connect(old)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("BEGIN")
        database.execute("SELECT * FROM journal").fetchall()
        with pytest.raises(NotReady, match="is in use"):
            move(old)
    assert move(old) == (UNNAMED, HEAD)


def test_what_stood_in_the_write_ahead_log_comes_along(old: Path) -> None:
    """A site that was killed leaves committed rows outside the file."""
    words = (
        "import os, sqlite3, sys; d = sqlite3.connect(sys.argv[1]); "
        "d.execute('PRAGMA journal_mode=WAL'); "
        "d.execute(\"INSERT INTO document VALUES ('late', x'00')\"); d.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", words, str(old)], check=False)
    assert old.with_name("site.sqlite-wal").stat().st_size > 0
    move(old)
    assert "late" in {row[0] for row in rows_of(old)["document"]}
    assert not old.with_name("site.sqlite-wal").exists()


STEPS = ("_settle", "_migrate", "_take_place")


@pytest.fixture(params=STEPS)
def dies_at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The power goes just before this step."""

    def gone(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, request.param, gone)
    yield
    monkeypatch.undo()


def test_a_power_cut_leaves_the_old_database(old: Path, dies_at: None) -> None:
    """And the next try ends as if nothing had been."""
    rows = rows_of(old)
    with pytest.raises(KeyboardInterrupt):
        move(old)
    assert rows_of(old) == rows


def test_a_try_that_was_cut_off_is_done_again(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its unfinished copy is thrown away."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "_take_place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            move(old)
    assert old.with_name("site.sqlite.new").exists()
    assert move(old) == (UNNAMED, HEAD)
    assert not old.with_name("site.sqlite.new").exists()


def test_two_processes_make_one_database(tmp_path: Path) -> None:
    """Both find every table and one revision."""
    path = tmp_path / "site.sqlite"
    words = (
        "import sys; from pathlib import Path; from site_node.store.schema import open_store; "
        "open_store(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", words, str(path)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [child.wait() for child in both] == [0, 0]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT * FROM alembic_version").fetchall() == [(HEAD,)]
    assert set(rows_of(path)) == set(Base.metadata.tables)
