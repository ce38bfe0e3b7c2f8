"""What a dataset holds as arrays need not lie in the inbox; what none holds stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.command import main
from compliance.errors import NotReady
from site_node.imaging.tally import only_one_import
from site_node.imaging.thinning import tell, thin
from site_node.store.journal import Sessions, close_store
from site_node.store.schema import open_store
from tests.site_node.imaging.files import Site, folder_of
from tests.site_node.imaging.test_quarantine import good, receive, rubbish


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Labels for six radiographs."""
    return folder_of(tmp_path / "one", 6) / "labels.csv"


@pytest.fixture
def opened(site: Site) -> Iterator[tuple[Path, Sessions]]:
    """Home and database of the hospital."""
    sessions = open_store(site.home / "site.sqlite")
    yield site.home, sessions
    close_store(sessions)


def files(site: Site) -> list[str]:
    """Hashes of what lies in the inbox."""
    return sorted(path.stem for path in (site.home / "inbox").glob("??/*.dcm"))


def test_only_what_a_dataset_holds_is_deleted(site, labels, opened):
    """Six are held, one arrived afterwards, one is in quarantine: six go."""
    receive(site, *good(6), rubbish())
    site.take("inbox", labels=labels)
    (late,) = receive(site, good(7)[6])

    told = tell(*opened)
    count, freed = thin(*opened)

    assert (told["held"], count) == (6, 6)
    assert freed == told["held_bytes"] > 0
    assert files(site) == [late]
    assert len(list((site.home / "quarantine").iterdir())) == 1


def test_the_dataset_stays_what_it_was(site, labels, opened):
    """Thinned, then something new arrives: the old images are in the next version too."""
    receive(site, *good(6))
    first = site.take("inbox", labels=labels)
    thin(*opened)
    receive(site, good(7)[6])
    more = folder_of(labels.parent.parent / "two", 7) / "labels.csv"

    second = site.take("inbox", labels=more)

    assert first["patients"] == 6
    assert second["patients"] == 7


def test_nothing_is_deleted_while_an_import_reads(site, labels, opened):
    """The same lock holds for both."""
    receive(site, *good(6))
    site.take("inbox", labels=labels)

    with only_one_import(site.home), pytest.raises(NotReady):
        thin(*opened)

    assert len(files(site)) == 6


def test_thinning_twice_does_no_harm(opened):
    """An empty inbox is as small as it gets."""
    assert thin(*opened) == (0, 0)
    assert tell(*opened)["files"] == 0


def test_the_command_asks_first_and_writes_it_down(site, labels, capsys):
    """Without --yes nobody deletes by accident; the journal has the numbers."""
    receive(site, *good(6))
    site.take("inbox", labels=labels)
    words = ["site", "inbox", "--home", str(site.home), "--json"]
    capsys.readouterr()
    assert main([*words, "--thin"]) != 0
    assert len(files(site)) == 6
    capsys.readouterr()

    assert main([*words, "--thin", "--yes"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["deleted"]) == (6, 6)
    assert files(site) == []
    main(["site", "journal", "--home", str(site.home), "--json"])
    kinds = [row["kind"] for row in json.loads(capsys.readouterr().out)]
    assert "inbox.thinned" in kinds
