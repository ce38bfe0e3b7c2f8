"""Files named after what they hold: whole, or not there."""

from __future__ import annotations

from pathlib import Path

from site_node.store.named import NamedFiles


def test_a_damaged_file_is_none_until_it_is_written_again(tmp_path: Path) -> None:
    """A hash says what counts; the folder and its files are for this user alone."""
    files = NamedFiles(tmp_path / "numbers")
    name = files.write(b"four")
    (path,) = (tmp_path / "numbers").iterdir()
    assert files.read(name) == b"four"
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)

    path.write_bytes(b"fore")
    assert files.read(name) is None
    assert files.write(b"four") == name
    assert files.read(name) == b"four"


def test_only_what_is_named_stays(tmp_path: Path) -> None:
    """The others are removed; a name that is not there is no error."""
    files = NamedFiles(tmp_path, ".f64")
    first, second = files.write(b"first"), files.write(b"second")

    files.keep({second, "sha256:" + "0" * 64})

    assert (files.read(first), files.read(second)) == (None, b"second")
    assert [path.suffix for path in tmp_path.iterdir()] == [".f64"]
