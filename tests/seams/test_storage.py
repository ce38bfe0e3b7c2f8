"""One promise for both databases: what is written stays, together or not at all."""

from __future__ import annotations

import threading
from contextlib import nullcontext

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from compliance.errors import Malformed, NotReady, Unreachable
from hub.storage import accounts, ledger, members, motions
from hub.storage.database import Base, Database
from hub.storage.schema import _config, check_revision, upgrade

STUDY = "00112233445566aa"


def begin(database: Database, study: str = STUDY) -> None:
    """An empty log."""
    row = ledger.LogRow(study=study, origin=f"hub/study/{study}", log_id="x", vkey="k", size=0)
    with database.transaction(study) as session:
        ledger.add_log(session, row)


def entry(index: int, leaf: bytes = b"a note\n") -> ledger.EntryRow:
    """One entry."""
    return ledger.EntryRow(
        study=STUDY,
        idx=index,
        leaf=leaf,
        leaf_hash=bytes([index % 256]) * 32,
        type="round.opened",
        actor="hub.example/events",
        time="2026-11-22T09:00:00Z",
    )


def add(database: Database, *leaves: bytes) -> None:
    """Entries, one transaction each."""
    for leaf in leaves:
        with database.transaction(STUDY) as session:
            index = ledger.log_size(session, STUDY)
            ledger.add_entry(session, entry(index, leaf), [(0, index, bytes(32))])


def together(*jobs) -> list[BaseException]:
    """Run jobs at the same moment; returns what they raised."""
    gate, raised = threading.Barrier(len(jobs)), []

    def run(job) -> None:
        gate.wait()
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_entries_come_back_byte_for_byte_in_their_order(database):
    """The leaf is the whole note as received; nothing is re-serialised on the way."""
    begin(database)
    leaves = [b"first\n", bytes(range(256)), "Größe — ok\n".encode()]

    add(database, *leaves)

    with database.reading() as session:
        assert ledger.read_entries(session, STUDY, 0) == leaves
        assert ledger.read_entries(session, STUDY, 1, 2) == leaves[1:2]
        assert ledger.log_size(session, STUDY) == 3
        assert ledger.find_leaf(session, STUDY, bytes([2]) * 32) == 2
        assert ledger.find_log(session, STUDY).size == 3


@pytest.mark.parametrize("table", ["log_entry", "log_node"])
@pytest.mark.parametrize("act", ["UPDATE {} SET study = 'other'", "DELETE FROM {}"])
def test_a_written_entry_can_neither_be_changed_nor_deleted(database, table, act):
    """The database itself refuses, aloud: an attempt must never look like a success."""
    begin(database)
    add(database, b"what was said\n")

    with pytest.raises(DBAPIError, match="append-only"), database.transaction() as session:
        session.execute(text(act.format(table)))

    with database.reading() as session:
        assert ledger.read_entries(session, STUDY, 0) == [b"what was said\n"]


def test_two_writers_at_once_lose_nothing(database):
    """Eight writers, ten entries each: eighty entries, without gap and without `locked`."""
    begin(database)

    raised = together(*[lambda: add(database, *([b"x\n"] * 10))] * 8)

    assert raised == []
    with database.reading() as session:
        assert ledger.log_size(session, STUDY) == 80


def test_writers_of_one_log_wait_for_each_other(database):
    """Whoever holds a log's lock reads its size; nobody else may add before he is done."""
    begin(database)
    inside, order = threading.Event(), []

    def first() -> None:
        with database.transaction(STUDY) as session:
            size = ledger.log_size(session, STUDY)
            inside.set()
            waiting.start()
            waiting.join(timeout=0.3)
            ledger.add_entry(session, entry(size), [])
            order.append("first")

    def second() -> None:
        inside.wait()
        add(database, b"second\n")
        order.append("second")

    waiting = threading.Thread(target=second)
    first()
    waiting.join()

    assert order == ["first", "second"]
    with database.reading() as session:
        assert ledger.log_size(session, STUDY) == 2


def test_a_failed_transaction_leaves_nothing_behind(database):
    """Entry and account were written in one transaction; one of them failed, both are gone."""
    begin(database)

    def half() -> None:
        with database.transaction(STUDY) as session:
            ledger.add_entry(session, entry(0), [(0, 0, bytes(32))])
            accounts.add_account(session, accounts.AccountRow(name="a", created="now", failures=0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()

    with database.reading() as session:
        assert ledger.log_size(session, STUDY) == 0
        assert accounts.count_accounts(session) == 0


def test_a_request_is_answered_once_even_when_it_comes_twice_at_once(database):
    """One of two equal nonces is fresh, the other is a replay."""
    fresh = []

    def use() -> None:
        with database.transaction("north") as session:
            fresh.append(
                members.use_nonce(session, "north", "n1", "2026-11-22T09:00:00Z", "2026-11-22")
            )

    assert together(use, use, use) == []
    assert sorted(fresh) == [False, False, True]


def test_migrations_lead_from_nothing_to_the_tables_of_this_release(database):
    """What alembic makes is what the code expects; a difference would be found in production."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []
    check_revision(database)
    assert upgrade(database), "a second upgrade changes nothing"


def test_an_upgrade_from_the_first_revision_keeps_what_is_there(empty):
    """A hub of the first release: its members and its log are there afterwards, unchanged."""
    with empty.engine.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    begin(empty)
    add(empty, b"what was said\n")

    assert upgrade(empty) == upgrade(empty)

    check_revision(empty)
    with empty.reading() as session:
        assert ledger.read_entries(session, STUDY, 0) == [b"what was said\n"]
        assert motions.open_motions(session, "") == []
    with pytest.raises(DBAPIError, match="append-only"), empty.transaction() as session:
        session.execute(text("DELETE FROM log_entry"))


def test_a_database_of_another_revision_is_refused_with_the_command(empty):
    """Nobody serves tables he does not know; the sentence names the way out."""
    with pytest.raises(NotReady, match="consilium hub upgrade"):
        check_revision(empty)
    with pytest.raises(NotReady, match="consilium hub upgrade"), empty.reading() as session:
        ledger.all_logs(session)


def test_a_value_that_cannot_be_stored_is_called_malformed(database):
    """PostgreSQL takes no NUL character: that is bad data, not a defect of the hub."""
    expected = pytest.raises(Malformed) if "postgres" in database.url else nullcontext()

    with expected, database.reading() as session:
        assert accounts.account_named(session, "a\x00b") is None


@pytest.mark.parametrize("url", ["mysql+nobody://x/y", "not a url", "postgresql+odd://h/d"])
def test_a_database_url_that_nobody_knows_is_named_as_a_setting(url):
    """A typing mistake is answered with the two forms that are known."""
    with pytest.raises(NotReady, match=r"postgresql\+psycopg"):
        Database(url)


def test_a_database_that_is_away_is_told_so(tmp_path):
    """A folder that is not there, a server that is down: one sentence, no trace."""
    away = Database(f"sqlite:///{tmp_path / 'missing' / 'hub.sqlite'}")

    with pytest.raises(Unreachable, match="does not answer"), away.transaction():
        pass
    with pytest.raises(Unreachable, match="does not answer"):
        upgrade(away)
    with pytest.raises(Unreachable, match="does not answer"):
        check_revision(away)
