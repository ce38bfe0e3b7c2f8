"""How each model was made, as a bundle holds it: the sealed details of a closed round, opened.

`data/rounds/<number>.json` holds salt and payload; `sealed` of the round's entry commits to both.
Erased details are not in a bundle, and every proof holds without them.

Source: design/federation.md §6.2; design/ledger.md §12.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from compliance import canonical
from compliance.errors import Malformed, NotProven
from compliance.records.details import RoundDetails, read_details
from compliance.records.rounds import RoundClosed
from compliance.records.sealed import open_sealed
from compliance.report.kinds import ROUNDS
from compliance.report.log import Log

Kept = Callable[[str], tuple[bytes, bytes] | None]
"""Salt and payload by commitment, as long as they were not erased."""


def path_of(number: int) -> str:
    """Where a round's details lie in a bundle."""
    return f"{ROUNDS}{number}.json"


def write_opened(salt: bytes, payload: bytes) -> bytes:
    """Write what a commitment hides, for a bundle."""
    return canonical.encode({"payload": canonical.decode(payload), "salt": salt.hex()})


def files_of(log: Log, kept: Kept) -> dict[str, bytes]:
    """The details of every closed round that are still kept, by path."""
    found = {}
    for _, event in log.of_kind("round.closed"):
        opened = kept(event.sealed) if event.sealed else None
        if opened is not None and isinstance(event.body, RoundClosed):
            found[path_of(event.body.round)] = write_opened(*opened)
    return found


def open_details(log: Log, path: str, data: bytes) -> RoundDetails:
    """Read a round's details, if they are those that the log commits to.

    Raises:
        NotProven: no closed round has this number, or it commits to something else.
        Malformed: the file has another form.
    """
    commitments = {
        path_of(event.body.round): event.sealed
        for _, event in log.of_kind("round.closed")
        if isinstance(event.body, RoundClosed)
    }
    said = commitments.get(path)
    if said is None:
        raise NotProven("attached", f"{path} belongs to no round that commits to its details")
    salt, payload = _parts(canonical.decode(data))
    details = read_details(open_sealed(said, salt, payload))
    if path_of(details.round) != path:
        raise NotProven("attached", f"{path} speaks of round {details.round}")
    return details


def _parts(value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, dict) or value.keys() != {"payload", "salt"}:
        raise Malformed("round details", "they are no object of payload and salt")
    try:
        return bytes.fromhex(value["salt"]), canonical.encode(value["payload"])
    except (TypeError, ValueError):
        raise Malformed("round details", "the salt is no hexadecimal text") from None


def add_words(parser: argparse.ArgumentParser) -> None:
    """Every option of `consilium audit recompute`; the page of commands is made from it too."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "--from",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="the study's folder of the hub, or a copy: models, updates, layout; "
        "default: the one below --home",
    )
