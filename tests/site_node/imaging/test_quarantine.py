"""What becomes of files that an import left out: kept apart, looked at again, deleted in time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from compliance.command import main
from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.inbox import Inbox
from site_node.imaging.keys import open_keys
from site_node.imaging.quarantine import MAY_END_OTHERWISE, Ward
from site_node.store import journal as _journal_table  # noqa: F401 - its table must be known
from site_node.store import objects
from site_node.store.journal import close_store
from site_node.store.objects import QUARANTINED, ObjectRow
from site_node.store.schema import open_store
from tests.site_node.imaging.files import SECRET, Site, file_of, folder_of, header, picture


def receive(site: Site, *files: bytes) -> list[str]:
    """Put files into the inbox as the receiver does; their hashes."""
    inbox, work = Inbox(site.home), site.home / "arriving"
    inbox.ready(work)
    keys, found = open_keys(site.home, lambda _: SECRET), []
    for number, data in enumerate(files):
        path = work / f"{number}"
        path.write_bytes(data)
        found.append(inbox.take(path, keys.match("instance", str(number))))
    return found


def good(count: int) -> list[bytes]:
    """Radiographs that every import reads."""
    return [file_of(header(f"{n:05d}", n), picture(n)) for n in range(1, count + 1)]


def rubbish() -> bytes:
    """No image."""
    return b"no image at all" * 20


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Labels for the radiographs above."""
    return folder_of(tmp_path / "one", 6) / "labels.csv"


def test_what_no_dataset_holds_leaves_the_inbox_for_the_quarantine(site, labels):
    """Images stay where they arrived, the rest lies apart under its hash; counts stay the same."""
    *kept, bad = receive(site, *good(6), rubbish())

    told = site.take("inbox", labels=labels)
    again = site.take("inbox", labels=labels)

    assert told["reasons"] == {"not_dicom": 1}
    assert [path.name for path in (site.home / "quarantine").iterdir()] == [bad]
    assert sorted(path.stem for path in (site.home / "inbox").glob("??/*")) == sorted(kept)
    same = ("files", "imported", "quarantined", "version")
    assert {name: again[name] for name in same} == {name: told[name] for name in same}


def test_a_quarantined_file_that_is_sent_again_is_not_kept_twice(site, labels):
    """A scanner that sends all night does not fill the disk."""
    receive(site, *good(6), rubbish())
    site.take("inbox", labels=labels)

    receive(site, rubbish())

    assert len(list((site.home / "inbox").glob("??/*"))) == 6


class Written:
    """The lines that would go into the journal."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def __call__(self, _session: object, kind: str, **data: object) -> None:
        """Write one."""
        self.lines.append((kind, data))


def ward_over(site: Site, reason: str, data: bytes) -> tuple[Ward, str, Written]:
    """A quarantine with one received file of this reason."""
    site.take("inbox", labels=site.home.parent / "one" / "labels.csv")
    (sha256,) = receive(site, data)
    Inbox(site.home).sort(held=set(), out={sha256})
    sessions, written = open_store(site.home / "site.sqlite"), Written()
    with sessions.begin() as session:
        (held, *_) = objects.rows_of(session, "chest", _recipe_of(session))
        row = out_of("chest", held.recipe, sha256, reason)
        objects.add_objects(session, [row])
    return Ward(home=site.home, sessions=sessions, record=written), sha256, written


def out_of(dataset: str, recipe: str, sha256: str, reason: str) -> ObjectRow:
    """An outcome in quarantine."""
    return ObjectRow(
        dataset=dataset, recipe=recipe, sha256=sha256, outcome=QUARANTINED,
        reason=reason, facts={}, findings=[],
    )  # fmt: skip


def _recipe_of(session: object) -> str:
    return str(session.query(ObjectRow).first().recipe)  # type: ignore[attr-defined]


def test_a_released_file_is_judged_anew_by_the_next_import(site, labels):
    """After a time-out on a busy machine the image comes in, and the release is on record."""
    receive(site, *good(5))
    ward, sha256, written = ward_over(site, "parse_timeout", good(6)[5])

    ward.release(sha256[:12])
    told = site.take("inbox", labels=labels)

    assert (told["imported"], told["quarantined"]) == (6, 0)
    assert written.lines == [
        (
            "quarantine.released",
            {"file": sha256[:12], "reasons": ["parse_timeout"], "datasets": ["chest"]},
        )
    ]
    assert (site.home / "inbox" / sha256[:2] / f"{sha256}.dcm").is_file()


def test_releasing_passes_no_check_by(site, labels):
    """What is no image goes back with its own reason, whatever stood there before."""
    receive(site, *good(5))
    ward, sha256, _ = ward_over(site, "parser_crashed", rubbish())

    ward.release(sha256[:12])
    told = site.take("inbox", labels=labels)

    assert told["reasons"] == {"not_dicom": 1}


def test_every_other_reason_is_never_released(site):
    """A contradiction, an identity, a text in the picture: the file must change, not the answer."""
    never = sorted(set(Quarantine) - MAY_END_OTHERWISE)
    sessions, written = open_store(site.home / "site.sqlite"), Written()
    with sessions.begin() as session:
        rows = [out_of("chest", "r", f"{n:064x}", reason) for n, reason in enumerate(never)]
        objects.add_objects(session, rows)
    ward = Ward(home=site.home, sessions=sessions, record=written)

    for number, reason in enumerate(never):
        with pytest.raises(NotReady, match=f"{reason} is not released"):
            ward.release(f"{number:064x}")

    with sessions() as session:
        assert len(objects.quarantined(session)) == len(never) == 29
    assert written.lines == []
    close_store(sessions)


def test_a_dropped_file_is_deleted_and_its_outcome_stays(site, labels):
    """The bytes go, the count stays: nothing disappears without a trace."""
    receive(site, *good(5))
    ward, sha256, written = ward_over(site, "burned_in_text", rubbish())

    ward.drop(sha256[:12])

    assert not list((site.home / "quarantine").iterdir())
    assert written.lines[0][0] == "quarantine.dropped"
    sessions = open_store(site.home / "site.sqlite")
    with sessions() as session:
        assert objects.quarantined(session) == [("chest", "burned_in_text", sha256)]
    close_store(sessions)


@pytest.mark.parametrize("prefix", ["", "abc", "../../etc/passwd", "%" * 12, "G" * 12, "_" * 12])
def test_what_is_no_beginning_of_a_hash_is_refused(site, labels, prefix):
    """No word of a command becomes a path or a pattern."""
    receive(site, *good(2))
    ward, _, _ = ward_over(site, "parse_timeout", rubbish())

    for decide in (ward.release, ward.drop):
        with pytest.raises(NotReady, match="no beginning of a file's SHA-256"):
            decide(prefix)
    with pytest.raises(NotReady, match="no file in quarantine"):
        ward.drop("0" * 64)


def test_a_file_in_a_folder_of_the_hospital_is_never_deleted(site, tmp_path):
    """The source of an import is not ours."""
    folder = folder_of(tmp_path / "mine", 4)
    (folder / "note.txt").write_bytes(rubbish())
    site.take(folder)
    sessions = open_store(site.home / "site.sqlite")
    with sessions() as session:
        ((_, _, sha256),) = objects.quarantined(session)
    ward = Ward(home=site.home, sessions=sessions, record=Written())

    with pytest.raises(NotReady, match="which is never changed"):
        ward.drop(sha256[:12])

    assert (folder / "note.txt").read_bytes() == rubbish()
    close_store(sessions)


def test_the_quarantine_is_emptied_by_age_and_by_size(site):
    """Too old goes first, then the oldest until the rest fits."""
    folder, day = site.home / "quarantine", 86400
    Inbox(site.home).ready(site.home / "arriving")
    for number, age in enumerate((40, 20, 10, 1)):
        path = folder / f"{number}".rjust(64, "0")
        path.write_bytes(bytes(100))
        at = (100 - age) * day
        _touch(path, at)

    gone = Inbox(site.home).expire(now=100 * day, days=30, most_bytes=250)

    assert gone == 2
    assert sorted(path.name[-1] for path in folder.iterdir()) == ["2", "3"]
    assert Inbox(site.home).expire(now=100 * day, days=30, most_bytes=250) == 0


def _touch(path: Path, at: float) -> None:
    os.utime(path, (at, at))


def test_the_commands_release_and_drop_and_the_journal_keeps_both(site, labels, capsys):
    """What a steward types, end to end."""
    receive(site, *good(5))
    _, sha256, _ = ward_over(site, "decode_failed", rubbish())
    home = ["--home", str(site.home)]

    assert main(["site", "quarantine", "--release", sha256[:12], *home]) == 0
    assert "the next import looks at it again" in capsys.readouterr().out
    site.take("inbox", labels=labels)
    assert main(["site", "quarantine", "--release", sha256[:12], *home]) == 2
    assert "not_dicom is not released" in capsys.readouterr().err
    assert main(["site", "quarantine", "chest", "--drop", sha256[:12], *home]) == 0
    capsys.readouterr()
    assert main(["site", "journal", "--json", *home]) == 0

    kinds = [line["kind"] for line in json.loads(capsys.readouterr().out)]
    assert kinds == ["quarantine.released", "quarantine.dropped"]
