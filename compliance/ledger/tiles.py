"""Tiles and entry bundles (C2SP tlog-tiles), so that foreign tools can read our logs."""

from __future__ import annotations

from collections.abc import Sequence

from compliance.errors import Malformed
from compliance.ledger.merkle import node_hash

WIDTH = 256
LENGTH_BYTES = 2
MAX_ENTRY = 65_535


def entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Write entries as big-endian uint16 length and bytes, one after the other."""
    if any(len(entry) > MAX_ENTRY for entry in entries):
        raise Malformed("entry", f"it has more than {MAX_ENTRY} bytes")
    return b"".join(len(entry).to_bytes(LENGTH_BYTES, "big") + entry for entry in entries)


def parse_entry_bundle(data: bytes) -> list[bytes]:
    """Read an entry bundle.

    Raises:
        Malformed: it ends within an entry, or holds an empty one.
    """
    entries, place = [], 0
    while place < len(data):
        begin = place + LENGTH_BYTES
        place = begin + int.from_bytes(data[place:begin], "big")
        if begin > len(data) or place > len(data):
            raise Malformed("entry bundle", "it ends within an entry")
        entries.append(data[begin:place])
    return entries


def tile_files(leaf_hashes: Sequence[bytes], entries: Sequence[bytes]) -> dict[str, bytes]:
    """Every tile of a log of this size, by path: `tile/<level>/<n>[.p/<width>]` and entries."""
    files: dict[str, bytes] = {}
    for begin in range(0, len(entries), WIDTH):
        part = entries[begin : begin + WIDTH]
        files[_path("entries", begin // WIDTH, len(part))] = entry_bundle(part)
    level, hashes = 0, list(leaf_hashes)
    while hashes:
        for begin in range(0, len(hashes), WIDTH):
            part_hashes = hashes[begin : begin + WIDTH]
            files[_path(str(level), begin // WIDTH, len(part_hashes))] = b"".join(part_hashes)
        whole = len(hashes) // WIDTH * WIDTH
        hashes = [_top(hashes[begin : begin + WIDTH]) for begin in range(0, whole, WIDTH)]
        level += 1
    return files


def _top(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [node_hash(left, right) for left, right in pairs]
    return hashes[0]


def _path(level: str, number: int, width: int) -> str:
    name = f"{number % 1000:03d}"
    while number := number // 1000:
        name = f"x{number % 1000:03d}/{name}"
    return f"tile/{level}/{name}" + ("" if width == WIDTH else f".p/{width}")
