"""Copies come from the same sources as an import: a folder, an archive, the inbox, the PACS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from compliance.command import main
from compliance.errors import NotReady
from site_node.imaging.copying import Copier, Request
from site_node.imaging.inbox import Inbox
from site_node.imaging.pacs_client import fetch_of
from tests.site_node.imaging.files import SECRET, file_of, folder_of, header, picture
from tests.site_node.imaging.pacs import Shelf, WebPacs
from tests.site_node.imaging.sender import settings_for
from tests.site_node.imaging.test_archive import zip_of

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a site."""
    made = tmp_path / "home"
    made.mkdir()
    return made


def copier(home: Path, free: int = 1 << 40) -> Copier:
    """A site with the secret of the tests."""
    return Copier(home=home, random=lambda _: SECRET, jobs=1, free=lambda _: free)


def copies(folder: Path) -> dict[str, bytes]:
    """The copies in a folder by name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.dcm")}


def received(home: Path, tmp_path: Path, count: int) -> list[str]:
    """Put radiographs into the inbox as a receiver does; their hashes."""
    inbox, hashes = Inbox(home), []
    inbox.ready(home / "work")
    for number in range(1, count + 1):
        path = tmp_path / f"arriving-{number}"
        path.write_bytes(file_of(header(f"{number:05d}", number), picture(number)))
        hashes.append(inbox.take(path, f"keyed-{number}"))
    return hashes


def test_an_archive_gives_the_copies_of_the_folder_it_was_made_of(home, tmp_path):
    """The same names, the same bytes; nothing unpacked is left in the home."""
    source = folder_of(tmp_path / "in", 4)
    copier(home).run(Request(source, tmp_path / "one"))

    told = copier(home).run(Request(zip_of(source, tmp_path / "in.zip"), tmp_path / "two"))

    assert told["written"] == 4
    assert copies(tmp_path / "one") == copies(tmp_path / "two")
    assert not list((home / "work").iterdir())


def test_an_archive_for_which_there_is_no_room_leaves_no_folder(home, tmp_path):
    """It is refused before anything is written."""
    packed = zip_of(folder_of(tmp_path / "in", 4), tmp_path / "in.zip")

    with pytest.raises(NotReady, match="full"):
        copier(home, free=10).run(Request(packed, tmp_path / "out"))

    assert not (tmp_path / "out").exists()


def test_what_the_pacs_sent_is_copied_and_stays_in_the_inbox(home, tmp_path):
    """The originals are not moved: no dataset has looked at them yet."""
    hashes = received(home, tmp_path, 3)

    told = copier(home).run(Request("inbox", tmp_path / "out"))

    assert told["written"] == 3
    assert all(Inbox(home).path_of(sha256) for sha256 in hashes)
    assert not list((home / "quarantine").iterdir())


def test_copies_do_not_go_where_received_files_lie(home, tmp_path):
    """A folder inside the inbox would be read as originals the next time."""
    received(home, tmp_path, 1)

    with pytest.raises(NotReady, match="lie in each other"):
        copier(home).run(Request("inbox", home / "inbox" / "copies"))

    assert not (home / "inbox" / "copies").exists()


def test_of_the_pacs_only_what_the_query_named_is_copied(home, tmp_path):
    """What lies in the inbox from another day is left alone; what was named is counted."""
    received(home, tmp_path, 1)
    wanted = [file_of(header(f"{n:05d}", n), picture(n)) for n in (7, 8)]
    wanted.append(file_of(header("00009", 9, Modality="CT"), picture(9)))
    with WebPacs(Shelf(wanted)).open() as url:
        settings = settings_for(home, pacs_url=url)
        fetch = fetch_of("pacs", ["Modality=CR"], settings, lambda _: SECRET)
        told = copier(home).run(Request("pacs", tmp_path / "out", fetch=fetch))

    assert told["written"] == 2
    assert told["pacs"] == {"named": 2, "here_before": 0, "received": 2}


def test_a_folder_of_something_else_is_refused_before_anything_is_fetched(home, tmp_path):
    """An hour of fetching is not lost to a wrong word."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "letter.txt").write_text("not ours")

    def fetched(_):
        raise AssertionError("the PACS was asked")

    with pytest.raises(NotReady, match="holds no copies of ours"):
        copier(home).run(Request("pacs", out, fetch=fetched))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["inbox"], "nothing has arrived in the inbox"),
        (["/nowhere/here"], "is no folder"),
        (["pacs"], "nothing was asked of the PACS"),
        (["inbox", "--query", "Modality=CR"], "--query goes with the source `pacs` only"),
        (["pacs", "--query", "Modality=CR"], "the settings name no PACS"),
    ],
)
def test_a_source_with_nothing_in_it_says_what_to_do(words, sentence, home, tmp_path, capsys):
    """The sentences of the import, and no folder for copies is made."""
    out = tmp_path / "out"

    code = main(["site", "deidentify", *words, "--out", str(out), "--home", str(home)])

    assert code == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()


def test_the_journal_tells_what_was_fetched_and_copied(home, tmp_path, capsys):
    """Counts only: of the copies as of an import."""
    files = [file_of(header(f"{n:05d}", n), picture(n)) for n in (1, 2)]
    with WebPacs(Shelf(files)).open() as url:
        (home / "site.toml").write_text(f'pacs_url = "{url}"\n')
        words = ["--query", "Modality=CR", "--out", str(tmp_path / "out"), "--home", str(home)]
        code = main(["site", "deidentify", "pacs", *words, "--json"])
        told = json.loads(capsys.readouterr().out)
    main(["site", "journal", "--json", "--home", str(home)])

    journal = capsys.readouterr().out

    assert code == 0
    assert told["written"] == 2
    assert "fetched" in journal
    assert "deidentified" in journal
    assert "00001" not in journal
