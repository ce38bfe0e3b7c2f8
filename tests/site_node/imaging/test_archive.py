"""A zip archive gives the dataset of its folder, or is refused before it can do harm."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from compliance.errors import NotReady
from site_node.imaging import archive
from tests.site_node.imaging.files import Site, file_of, folder_of, header, picture


def zip_of(folder: Path, target: Path, how: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive with the files of a folder."""
    with zipfile.ZipFile(target, "w", how) as made:
        for path in sorted(folder.rglob("*.dcm"), reverse=True):
            made.write(path, f"export/{path.name}")
    return target


def take(site: Site, source: Path, labels: Path):
    """Import an archive."""
    return site.take(source, labels=labels)


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_gives_the_version_of_its_folder(tmp_path, how):
    """The same files are the same dataset, packed or not."""
    folder = folder_of(tmp_path / "one", 12)
    packed = zip_of(folder, tmp_path / "one.zip", how)
    before = packed.read_bytes()

    plain = Site(tmp_path / "plain").take(folder)
    site = Site(tmp_path / "zip")
    told = take(site, packed, folder / "labels.csv")

    assert told["version"] == plain["version"]
    assert (told["files"], told["imported"]) == (12, 12)
    assert packed.read_bytes() == before
    again = take(site, packed, folder / "labels.csv")
    assert (again["read_now"], again["version"]) == (0, told["version"])


def test_a_member_whose_name_leads_outside_is_skipped_and_counted(site, tmp_path):
    """Nothing is written outside the home, whatever a member is called."""
    folder = folder_of(tmp_path / "one", 4)
    packed = zip_of(folder, tmp_path / "one.zip")
    with zipfile.ZipFile(packed, "a") as made:
        for name in ("../../evil.dcm", "/evil.dcm", "C:\\evil.dcm", "a\\..\\..\\evil.dcm"):
            made.writestr(name, file_of(header("9", 9), picture(9)))
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")

    told = take(site, packed, folder / "labels.csv")

    assert told["skipped_because"] == {"unsafe_name": 4, "not_a_file": 1}
    assert told["imported"] == 4
    assert not list(tmp_path.rglob("evil*"))


def bomb(target: Path) -> Path:
    """A member that swells a thousand times."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros.dcm", bytes(10 << 20))
    return target


def many_small_bombs(target: Path) -> Path:
    """Members that share one body: each swells little, together they swell without end."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as made:
        made.writestr("one.dcm", bytes(100_000))
    raw = data.getvalue()
    start = raw.index(b"PK\x01\x02")
    entry = raw[start : raw.index(b"PK\x05\x06")]
    entries = entry * 3000
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 3000, 3000, len(entries), start, 0)
    target.write_bytes(raw[:start] + entries + end)
    return target


def encrypted(target: Path) -> Path:
    """A member whose flag says that it is encrypted."""
    with zipfile.ZipFile(target, "w") as made:
        made.writestr("one.dcm", b"secret")
    raw = bytearray(target.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    target.write_bytes(raw)
    return target


def lzma(target: Path) -> Path:
    """A packer that may ask for gigabytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as made:
        made.writestr("one.dcm", b"1" * 1000)
    return target


def endless_list(target: Path) -> Path:
    """A list of members that would fill the memory."""
    with zipfile.ZipFile(target, "w") as made:
        made.writestr("one.dcm", b"1")
    raw = bytearray(target.read_bytes())
    struct.pack_into("<I", raw, len(raw) - 10, 200 << 20)
    target.write_bytes(raw)
    return target


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (bomb, "swells more than 200 times"),
        (many_small_bombs, "together swell more than 200 times"),
        (encrypted, "encrypted"),
        (lzma, "other than by deflate"),
        (endless_list, "list of members is larger than 24 MB"),
    ],
)
def test_an_unsafe_archive_is_refused_before_anything_is_unpacked(site, tmp_path, made, why):
    """The reason is of the closed list, the sentence says what was found."""
    folder = folder_of(tmp_path / "one", 2)

    with pytest.raises(NotReady, match=f"archive_unsafe: .*{why}"):
        take(site, made(tmp_path / "bad.zip"), folder / "labels.csv")

    assert not any(site.home.joinpath("work").iterdir())
    assert not site.dataset.exists()


def test_an_archive_with_too_many_or_too_large_members_is_refused(site, tmp_path, monkeypatch):
    """Limits of count and size, lowered here so that the test stays small."""
    folder = folder_of(tmp_path / "one", 4)
    packed = zip_of(folder, tmp_path / "one.zip")

    for name, value, why in (("MOST_MEMBERS", 3, "more than 3"), ("MOST_MEMBER", 64, "larger")):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, value)
            with pytest.raises(NotReady, match=f"archive_unsafe: .*{why}"):
                take(site, packed, folder / "labels.csv")


def test_a_damaged_member_is_counted_and_the_others_go_on(site, tmp_path):
    """A broken checksum costs one file."""
    folder = folder_of(tmp_path / "one", 4)
    packed = zip_of(folder, tmp_path / "one.zip", zipfile.ZIP_STORED)
    raw = bytearray(packed.read_bytes())
    raw[raw.index(b"DICM") + 200] ^= 0xFF
    packed.write_bytes(raw)

    told = take(site, packed, folder / "labels.csv")

    assert told["skipped_because"] == {"unreadable": 1}
    assert told["imported"] == 3


def test_an_archive_within_an_archive_is_not_opened(site, tmp_path):
    """It is a file like any other, and no image."""
    folder = folder_of(tmp_path / "one", 4)
    inner = zip_of(folder, tmp_path / "inner.zip")
    outer = zip_of(folder, tmp_path / "outer.zip")
    with zipfile.ZipFile(outer, "a") as made:
        made.write(inner, "inner.zip")

    told = take(site, outer, folder / "labels.csv")

    assert told["reasons"] == {"not_dicom": 1}


def test_what_is_no_archive_and_what_finds_no_room_are_told(site, tmp_path):
    """One sentence each, and nothing is left in the home."""
    folder = folder_of(tmp_path / "one", 4)
    (tmp_path / "cut.zip").write_bytes(zip_of(folder, tmp_path / "one.zip").read_bytes()[:-40])

    for name in ("cut.zip", "one/labels.csv"):
        with pytest.raises(NotReady, match="no folder and no zip archive"):
            take(site, tmp_path / name, folder / "labels.csv")
    site.free = 10
    with pytest.raises(NotReady, match="full"):
        take(site, tmp_path / "one.zip", folder / "labels.csv")

    assert not any(site.home.joinpath("work").iterdir())
