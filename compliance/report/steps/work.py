"""What the steps of a verification are given, learn and hand on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from compliance.errors import ConsiliumError, Malformed, NotProven
from compliance.ledger.checkpoint import Checkpoint, parse_text
from compliance.ledger.policy import Policy, Quorum
from compliance.ledger.tiles import parse_entry_bundle
from compliance.report.attached import judge_attached
from compliance.report.derived import derive
from compliance.report.kinds import given_files
from compliance.report.log import Log
from compliance.report.reading import Reading, log_of, read_entries
from compliance.rules.state import StudyState
from compliance.signing.note import parse

CHECKPOINT = "data/log/checkpoint"
ENTRIES = "data/log/tile/entries/"


class CannotTellError(Exception):
    """A step lacks what it needs; this is neither a yes nor a no."""


@dataclass(frozen=True)
class Asked:
    """What an auditor brings along; none of it comes from the bundle.

    Args:
        data: the zip file.
        policy: text of the policy: whose signatures count. None: cannot tell.
        charter_id: the charter that is expected, if known.
        consortium_policy: text of the policy of the consortium's log, if the proofs against it are
            to be checked.
        receipt: the receipt of the export, if there is one.
    """

    data: bytes
    policy: str | None = None
    charter_id: str | None = None
    consortium_policy: str | None = None
    receipt: bytes | None = None


@dataclass
class Work:
    """What was asked, and what the steps found so far."""

    asked: Asked
    top: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    quorum: Quorum | None = None
    not_checked: list[str] = field(default_factory=list)

    def file(self, path: str) -> bytes:
        """A file of the bundle.

        Raises:
            NotProven: it is not there.
        """
        if path not in self.files:
            raise NotProven("file", f"{path} is missing")
        return self.files[path]

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, its form only."""
        return parse_text(parse(self.file(CHECKPOINT)).text)

    @cached_property
    def entries(self) -> list[bytes]:
        """Every entry, in the order of the tiles.

        Raises:
            Malformed: a tile ends within an entry; the file is named.
        """
        found: list[bytes] = []
        for path in sorted(path for path in self.files if path.startswith(ENTRIES)):
            try:
                found += parse_entry_bundle(self.files[path])
            except Malformed as error:
                raise Malformed(path, error.rule) from None
        return found

    @cached_property
    def reading(self) -> Reading:
        """One pass over the entries.

        Raises:
            CannotTellError: there are none, or they cannot be read (step 6 says why).
        """
        try:
            entries = self.entries
        except Malformed:
            entries = []
        if not entries:
            raise CannotTellError("the entries cannot be read, see step 6")
        return read_entries(entries)

    @property
    def state(self) -> StudyState:
        """The fold of the whole log.

        Raises:
            CannotTellError: a rule refused an entry (step 9 or 10 says which).
        """
        if self.reading.state is None or self.reading.refusal is not None:
            raise CannotTellError("the log breaks a rule, see steps 8 to 10")
        return self.reading.state

    @cached_property
    def log(self) -> Log:
        """The log under its checkpoint.

        Raises:
            CannotTellError: rules, quorum or root do not hold; an earlier step says so.
        """
        _ = self.state
        try:
            return log_of(self.reading, self.file(CHECKPOINT))
        except ConsiliumError as error:
            raise CannotTellError(f"the log does not hold: {error}") from None

    @cached_property
    def made(self) -> dict[str, bytes]:
        """Every derived file, made again from the log and the files that were given to it."""
        wrong = {path for path, held in self.judged.items() if isinstance(held, ConsiliumError)}
        given = given_files(self.files)
        return derive(self.log, {path: given[path] for path in given if path not in wrong})

    @cached_property
    def judged(self) -> dict[str, bool | ConsiliumError]:
        """Of each attached file, whether its hash stands in the log."""
        return judge_attached(self.log, self.files)


def policy_given(text: str | None, option: str = "--policy") -> Policy:
    """The policy that an auditor gave.

    Raises:
        CannotTellError: none was given, or the file is none.
    """
    if text is None:
        words = f"no policy file given; get it from a member you trust, then {option} FILE"
        raise CannotTellError(words)
    try:
        return Policy.parse(text)
    except Malformed as error:
        raise CannotTellError(f"the file of {option} is no policy: {error.rule}") from None
