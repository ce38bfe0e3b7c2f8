"""Steps 12 to 14: files made again, attached files, model files."""

from __future__ import annotations

from compliance.errors import ConsiliumError, NotProven
from compliance.report.derived import tags
from compliance.report.kinds import MODEL, kind_of
from compliance.report.models import check_model
from compliance.report.steps.work import CHECKPOINT, CannotTellError, Work
from compliance.report.version import SOFTWARE, same_layout


def derived(work: Work) -> str:
    """Files made from the log are made again and compared byte for byte."""
    info = work.file("bag-info.txt").decode(errors="replace")
    software = info.partition("Bag-Software-Agent: ")[2].partition("\n")[0]
    if not same_layout(software):
        raise CannotTellError(
            f"made by {software[:80]!r}; install that version, this is {SOFTWARE}"
        )
    payload = {path: data for path, data in work.files.items() if path.startswith("data/")}
    made = work.made | tags(work.log, payload, software)
    for path in (*sorted(work.made), *sorted(set(made) - set(work.made))):
        if work.file(path) != made[path]:
            raise NotProven("derived", f"{path} is not what the log says")
    known = set(made) | {CHECKPOINT}
    for path in sorted(payload):
        if path not in known and kind_of(path) is None:
            raise NotProven(
                "derived", f"{path} does not follow from the log and is of no known kind"
            )
    return f"{len(made)} files made again, equal"


def attached(work: Work) -> str | None:
    """Attached files have the hashes that stand in the log."""
    judged = work.judged
    wrong = next((held for held in judged.values() if isinstance(held, ConsiliumError)), None)
    if wrong is not None:
        raise wrong
    count = sum(held is True for held in judged.values())
    return f"{count} files" if count else None


def models(work: Work) -> str | None:
    """Model files hold the numbers that the log names."""
    known = {closed.model_sha256 for closed in work.state.rounds_closed}
    known.add(work.state.charter.initial_model_sha256)
    found = {path: data for path, data in work.files.items() if path.endswith(MODEL)}
    for path, data in found.items():
        check_model(path, data, known)
    return f"{len(found)} models" if found else None
