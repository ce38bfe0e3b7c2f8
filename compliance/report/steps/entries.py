"""Steps 6 to 10: the entries, the tree over them, the charter, every note and every rule."""

from __future__ import annotations

from compliance.errors import NotProven
from compliance.ledger.merkle import leaf_hash, root
from compliance.ledger.tiles import tile_files
from compliance.report.steps.work import CannotTellError, Work
from compliance.rules.arrival import open_note
from compliance.rules.verdict import Denied


def entries_and_root(work: Work) -> str:
    """As many entries as the checkpoint says, and they lead to its root."""
    found, checkpoint = work.entries, work.checkpoint
    if len(found) != checkpoint.size:
        raise NotProven("entries", f"{len(found)} entries, the checkpoint says {checkpoint.size}")
    if root(leaf_hash(entry) for entry in found) != checkpoint.root:
        raise NotProven("entries", "the entries do not lead to the signed root")
    return f"{len(found)} entries lead to root {checkpoint.root.hex()[:16]}…"


def tiles(work: Work) -> str:
    """The tiles are those of the tree."""
    if not work.entries:
        raise CannotTellError("the entries cannot be read, see step 6")
    made = tile_files([leaf_hash(entry) for entry in work.entries], work.entries)
    folder = "data/log/"
    found = {
        path.removeprefix(folder): data
        for path, data in work.files.items()
        if path.startswith(f"{folder}tile/")
    }
    for path in sorted(set(made) | set(found)):
        if made.get(path) != found.get(path):
            raise NotProven("tiles", f"{folder}{path} differs from the tree")
    return f"{len(made)} tiles"


def charter(work: Work) -> str:
    """Entry 0 is the charter that is expected, with the signatures it asks for."""
    reading, expected = work.reading, work.asked.charter_id
    found = reading.charter_id
    if expected is not None and found != expected:
        raise NotProven("charter", f"it is {found}, expected was {expected}")
    if reading.state is None:
        raise NotProven("charter", str(reading.refusal))
    signers = ", ".join(line.name for line in reading.notes[0].lines)
    compare = "" if expected else "; compare the id by eye"
    return f"charter id {found}, signed by {signers}{compare}"


def notes(work: Work) -> str:
    """Every entry is a note in its one form, by a known key, in its time."""
    reading = work.reading
    refusal = reading.refusal
    if refusal is not None and refusal.of_form:
        raise NotProven("notes", str(refusal))
    for index in range(len(reading.events), len(work.entries)):
        opened = open_note(work.entries[index])
        if isinstance(opened, Denied):
            words = f"entry {index} is refused by rule {opened.rule}: {opened.sentence}"
            raise NotProven("notes", words)
    if refusal is not None:
        raise CannotTellError(f"{refusal.index} notes hold; who may sign after that is unknown")
    return f"{len(reading.events)} notes"


def rules(work: Work) -> str:
    """Every rule is replayed; the first refusal is named."""
    refusal = work.reading.refusal
    if refusal is not None and refusal.of_form:
        raise CannotTellError(f"the replay ends before entry {refusal.index}, see step 9")
    if refusal is not None:
        raise NotProven("rules", str(refusal))
    state = work.state
    return f"{state.size} entries obey; {len(state.rounds_closed)} rounds closed"
