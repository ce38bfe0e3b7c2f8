"""The configurations of a MONAI bundle's folder or archive, read as data and within bounds.

Source: MONAI bundle specification 0.1; design/federation.md §7.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from compliance.errors import Malformed, NotReady

WHAT = "MONAI bundle"
LARGEST, MOST_FILES, MOST_ENTRIES, DEEPEST = 256 << 10, 64, 20_000, 32
_CONFIG = re.compile(r"(?:[^/]+/)?configs/[^/]+\.(?:json|ya?ml)")

Plain = dict[str, Any]


def read_bundle(path: Path) -> dict[str, Plain]:
    """Read `configs/*.json|yaml` of a bundle's folder or archive as data, by name without suffix.

    Raises:
        NotReady: there is no such bundle.
        Malformed: a file is too large, hostile, or no configuration.
    """
    if path.is_dir():
        files = dict(_from_folder(path))
    elif zipfile.is_zipfile(path):
        files = dict(_from_archive(path))
    else:
        raise NotReady(f"{path} is neither a folder nor a .zip.", "Name a MONAI bundle.")
    if not files:
        raise NotReady(f"{path} has no configs/*.json or *.yaml.", "Name a MONAI bundle.")
    return {PurePosixPath(name).stem: _parsed(name, data) for name, data in files.items()}


def _from_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    folder = path / "configs"
    names = sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []
    for place in names:
        if not _CONFIG.fullmatch(f"configs/{place.name}"):
            continue
        if place.is_symlink() or not place.is_file():
            raise Malformed(WHAT, f"{place.name} is no plain file")
        with place.open("rb") as file:
            yield place.name, _bounded(place.name, file.read(LARGEST + 1))


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Nothing is unpacked to the disk; each file is inflated up to its limit and no further."""
    try:
        with zipfile.ZipFile(path) as archive:
            rows = archive.infolist()
            _check_names([row.filename for row in rows])
            for row in rows:
                if not _CONFIG.fullmatch(row.filename):
                    continue
                if row.flag_bits & 1:
                    raise Malformed(WHAT, f"{row.filename} is encrypted")
                with archive.open(row) as file:
                    name = PurePosixPath(row.filename).name
                    yield name, _bounded(name, file.read(LARGEST + 1))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError) as error:
        raise Malformed(WHAT, f"its archive cannot be read ({type(error).__name__})") from None


def _check_names(names: Sequence[str]) -> None:
    if len(names) > MOST_ENTRIES:
        raise Malformed(WHAT, f"its archive has more than {MOST_ENTRIES} entries")
    for name in names:
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise Malformed(WHAT, f"its archive has an entry outside of itself: {name[:80]!r}")
    found = [PurePosixPath(name).stem for name in names if _CONFIG.fullmatch(name)]
    if len(found) != len(set(found)) or len(found) > MOST_FILES:
        raise Malformed(WHAT, "two configurations have one name, or there are too many")


def _bounded(name: str, data: bytes) -> bytes:
    if len(data) > LARGEST:
        raise Malformed(WHAT, f"{name} has more than {LARGEST >> 10} KiB")
    return data


def _parsed(name: str, data: bytes) -> Plain:
    try:
        text = data.decode("utf-8")
        value = _json(text) if name.endswith(".json") else _yaml(name, text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise Malformed(WHAT, f"{name} is no configuration ({type(error).__name__})") from None
    if not isinstance(value, dict) or _deeper(value, DEEPEST):
        raise Malformed(WHAT, f"{name} is no object, or nested too deep")
    return value


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> Plain:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _yaml(name: str, text: str) -> Any:
    """YAML without its traps: no tag makes an object, and no alias multiplies what it names."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise Malformed(WHAT, f"{name} is nested too deep")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            raise Malformed(WHAT, f"{name} has a YAML tag or alias; only plain values are read")
    return yaml.safe_load(text)


def _deeper(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and (
        not left or any(_deeper(part, left - 1) for part in inner)
    )
