"""Do two pieces of evidence tell one story? A fork of a log, proven to a third party.

Two checkpoints of one size with two roots, both signed by the log, are a fork. One log that is the
beginning of the other is one story. Anything else cannot be told from these two files.

Source: design/ledger.md §10 (split view), §13 (`compare`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compliance.errors import Malformed, NotProven, NotReady
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_text
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.ledger.policy import Policy
from compliance.ledger.proof import HEADER, parse_proof
from compliance.ledger.tiles import parse_entry_bundle
from compliance.report.bag import read_zip
from compliance.report.reading import read_entries
from compliance.report.steps.work import CHECKPOINT, ENTRIES
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse

ZIP = b"PK"


@dataclass(frozen=True)
class Evidence:
    """A checkpoint, and the entries below it where they are at hand.

    Args:
        name: file or folder, for people.
        note: the checkpoint with its signatures.
        checkpoint: the same, read.
        entries: empty when there is only a checkpoint.
    """

    name: str
    note: bytes
    checkpoint: Checkpoint
    entries: Sequence[bytes] = ()


def read_evidence(path: Path) -> Evidence:
    """Read a bundle, a folder of tiles, a checkpoint or a proof file.

    Raises:
        NotReady: none of these, or it cannot be read.
        NotProven: the entries do not lead to the root of the checkpoint.
    """
    try:
        if path.is_dir():
            return read_folder(path)
        data = path.read_bytes()
    except OSError as error:
        words = f"{path} cannot be read ({error.strerror})."
        raise NotReady(words, "Name a file that exists.") from None
    try:
        if data.startswith(ZIP):
            _, files = read_zip(data)
            return _with_entries(str(path), files[CHECKPOINT], files)
        note = parse_proof(data).checkpoint if data.startswith(HEADER.encode()) else data
        return Evidence(str(path), note, parse_text(parse(note).text))
    except (KeyError, Malformed):
        fix = "Name a bundle, a folder of tiles, a checkpoint or a proof."
        raise NotReady(f"{path} holds no readable log.", fix) from None


def read_folder(folder: Path) -> Evidence:
    """Read a static log (tlog-tiles): `checkpoint` and `tile/entries/…`.

    Raises:
        NotReady, NotProven: as `read_evidence`.
    """
    root = folder / "data" / "log" if (folder / "data" / "log").is_dir() else folder
    try:
        paths = sorted(path for path in (root / "tile" / "entries").rglob("*") if path.is_file())
        files = {
            f"data/log/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths
        }
        return _with_entries(str(folder), (root / "checkpoint").read_bytes(), files)
    except (OSError, Malformed):
        fix = "Name a folder with `checkpoint` and `tile/entries/`."
        raise NotReady(f"{folder} holds no readable log.", fix) from None


def _with_entries(name: str, note: bytes, files: dict[str, bytes]) -> Evidence:
    checkpoint = parse_text(parse(note).text)
    entries = entries_of(files, checkpoint.size)
    if tree_of(entries).root() != checkpoint.root or len(entries) != checkpoint.size:
        raise NotProven("entries", f"{name}: the entries do not lead to the signed root")
    return Evidence(name, note, checkpoint, entries)


def entries_of(files: dict[str, bytes], size: int) -> list[bytes]:
    """Entries below a checkpoint; of a tile that was partial once, the longest counts.

    A static log keeps old partial tiles (`000.p/5`) beside the grown ones.
    """
    longest: dict[str, list[bytes]] = {}
    for path in (path for path in files if path.startswith(ENTRIES)):
        tile, found = path.split(".p/", 1)[0], parse_entry_bundle(files[path])
        if len(found) > len(longest.get(tile, [])):
            longest[tile] = found
    whole = [entry for tile in sorted(longest) for entry in longest[tile]]
    return whole[:size]


def tree_of(entries: Sequence[bytes]) -> Tree:
    """The tree over entries."""
    tree = Tree()
    for entry in entries:
        tree.append(leaf_hash(entry))
    return tree


def compare(first: Evidence, second: Evidence, policy: str | None = None) -> str:
    """Say that both tell one story.

    Args:
        first: one piece of evidence.
        second: the other.
        policy: whose signature counts, for checkpoints without entries.

    Raises:
        NotProven: a fork: both were signed and cannot both be true.
        NotReady: it cannot be told from these two.
    """
    old, new = sorted((first, second), key=lambda item: item.checkpoint.size)
    if old.checkpoint.origin != new.checkpoint.origin:
        raise NotReady("the two are about two logs.", "Compare evidence of one study.")
    _check_signed(old, new, policy)
    if old.checkpoint.size == new.checkpoint.size:
        return _same_size(old, new)
    if not new.entries:
        raise NotReady(
            f"whether {old.checkpoint.size} entries are the beginning of {new.checkpoint.size} "
            "does not follow from these checkpoints.",
            f"Get the entries that belong to {new.name}: a bundle or a folder of tiles.",
        )
    if tree_of(new.entries[: old.checkpoint.size]).root() != old.checkpoint.root:
        raise NotProven("fork", _difference(old, new))
    sizes = f"{old.checkpoint.size} entries are the beginning of {new.checkpoint.size}"
    return f"One history: {sizes}."


def _same_size(old: Evidence, new: Evidence) -> str:
    if old.checkpoint.root != new.checkpoint.root:
        raise NotProven("fork", _difference(old, new))
    return f"One history: both have {new.checkpoint.size} entries and one root."


def _difference(old: Evidence, new: Evidence) -> str:
    for index, (left, right) in enumerate(zip(old.entries, new.entries, strict=False)):
        if left != right:
            return f"entry {index} differs: two histories of one log were signed"
    return f"two roots for the first {old.checkpoint.size} entries: two histories were signed"


def _check_signed(old: Evidence, new: Evidence, policy: str | None) -> None:
    """Check that one log signed both: by the policy, or by the charter that entries bring along.

    Anybody can write a log of this name with a key of his own; that is no fork.

    Raises:
        NotReady: nobody says which key the log has, or the two say it differently.
        NotProven: the log has not signed one of them.
    """
    keys = _keys(old, new, policy)
    for item in (old, new):
        if not any(_signed(item, key) for key in keys):
            raise NotProven("checkpoint.key", f"{item.name} is not signed by the log's key")


def _keys(old: Evidence, new: Evidence, policy: str | None) -> list[VerifierKey]:
    if policy is not None:
        given = Policy.parse(policy).log
        if given is not None and all(_signed(item, given) for item in (old, new)):
            return [given]
        return _with_rotations(given, old, new)
    brought = [item for item in (old, new) if item.entries]
    firsts = {parse(item.entries[0]).text for item in brought}
    if len(firsts) != 1:
        words = "nothing says" if not firsts else "two different charters say"
        raise NotReady(f"{words} which key this log has.", "Give --policy FILE.")
    return [key for item in brought for key in log_keys(item.entries)]


def _with_rotations(given: VerifierKey | None, old: Evidence, new: Evidence) -> list[VerifierKey]:
    """The key of a policy, and those that took its place by the rules of the log itself."""
    found = [given] if given else []
    for item in (old, new):
        keys = log_keys(item.entries) if item.entries else []
        found += keys if given in keys else []
    return found


def log_keys(entries: Sequence[bytes]) -> list[VerifierKey]:
    """Keys that a log has had: the charter's, and those that replaced it by the rules."""
    state = read_entries(entries).state
    if state is None:
        return []
    return [key for _, key in state.keys.history.get(state.charter.origin, [])]


def _signed(item: Evidence, key: VerifierKey) -> bool:
    try:
        open_checkpoint(item.note, key)
    except NotProven:
        return False
    return True
