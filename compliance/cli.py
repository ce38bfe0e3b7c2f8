"""`consilium audit`: verify a bundle, check a proof, compare two; the base install, no network."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from compliance.errors import ConsiliumError, NotProven, NotReady
from compliance.ledger.checkpoint import Checkpoint, parse_text
from compliance.ledger.merkle import leaf_hash, root
from compliance.ledger.policy import Policy
from compliance.ledger.proof import check_proof, parse_proof
from compliance.ledger.tiles import parse_entry_bundle
from compliance.report.bag import read_zip
from compliance.report.verify import ENTRIES, Report, verify
from compliance.signing.note import parse

MARKS = {
    "pass": "PASS",
    "fail": "FAIL",
    "cannot_tell": "CANNOT TELL",
    "not_applicable": "NOT HERE",
}


def main(words: Sequence[str]) -> int:
    """Run one audit command and return its exit code: 0 verified, 1 refuted, 2 cannot tell."""
    parser = make_parser()
    try:
        asked = parser.parse_args(words)
    except SystemExit as end:
        return int(end.code or 0)
    answer: int = asked.run(asked)
    return answer


def make_parser() -> argparse.ArgumentParser:
    """All words of `consilium audit`; the page of commands is made from it too."""
    parser = argparse.ArgumentParser(
        prog="consilium audit",
        description="Evidence to check: exit 0 verified, 1 refuted, 2 cannot tell.",
        epilog="example: consilium audit verify consilium-….zip --policy policy.txt",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    export = commands.add_parser(
        "export", help="write a study's evidence bundle (run it on the hub's or a site's host)"
    )
    export.add_argument("study", metavar="STUDY")
    export.add_argument("--out", type=Path, required=True, metavar="DIR")
    export.set_defaults(run=_export_elsewhere)
    check = commands.add_parser("verify", help="verify a bundle, step by numbered step")
    check.add_argument("bundle", type=Path, metavar="BUNDLE")
    check.add_argument("--policy", type=Path, metavar="FILE", help="whose signatures count")
    check.add_argument("--charter", metavar="ID", help="the charter id that is expected")
    check.set_defaults(run=_verify)
    proof = commands.add_parser("proof", help="check that one entry stands in a log")
    proof.add_argument("proof", type=Path, metavar="FILE")
    proof.add_argument("--entry", type=Path, required=True, metavar="FILE")
    proof.add_argument("--policy", type=Path, required=True, metavar="FILE")
    proof.set_defaults(run=_proof)
    compare = commands.add_parser("compare", help="do two bundles tell one story? exit 1: fork")
    compare.add_argument("first", type=Path, metavar="A")
    compare.add_argument("second", type=Path, metavar="B")
    compare.set_defaults(run=_compare)
    for command, words in (
        (export, "export 00112233445566aa --out evidence --home /srv/consilium/hub"),
        (check, "verify consilium-….zip --policy policy.txt"),
        (proof, "proof entry.tlog-proof --entry entry.note --policy policy.txt"),
        (compare, "compare from-the-hub.zip from-a-hospital.zip"),
    ):
        command.epilog = f"example: consilium audit {words}"
        command.add_argument("--json", action="store_true", help="print JSON for machines")
        command.add_argument("--home", type=Path, metavar="DIR", help="for export: whose home")
    return parser


def _export_elsewhere(_: argparse.Namespace) -> int:
    raise NotReady("export needs the home of a hub or a site.", "Name it with --home DIR.")


def _verify(asked: argparse.Namespace) -> int:
    policy = _read(asked.policy).decode(errors="replace") if asked.policy else None
    report = verify(_read(asked.bundle), policy, asked.charter)
    if asked.json:
        _say(json.dumps(report.plain(), ensure_ascii=False))
    else:
        _tell(report)
    return report.exit_code


def _tell(report: Report) -> None:
    for step in report.steps:
        mark = MARKS[step.result]
        _say(f"{mark:<12}{step.number:>3}  {step.subject} ({step.clause}): {step.detail}")
    words = {
        0: "Verified: every step holds.",
        1: "Refuted: a step does not hold; keep this file and call the hospitals' stewards.",
        2: "Cannot tell: a step lacks what it needs; see above.",
    }
    _say(words[report.exit_code])


def _proof(asked: argparse.Namespace) -> int:
    policy = Policy.parse(_read(asked.policy).decode(errors="replace"))
    proof = parse_proof(_read(asked.proof))
    quorum = check_proof(proof, _read(asked.entry), policy)
    plain = {
        "index": proof.index,
        "size": quorum.checkpoint.size,
        "witnesses": sorted(quorum.times),
    }
    witnesses = ", ".join(sorted(quorum.times))
    line = f"Entry {proof.index} stands in {quorum.checkpoint.origin}, cosigned by {witnesses}."
    _say(json.dumps(plain) if asked.json else line)
    return 0


def _compare(asked: argparse.Namespace) -> int:
    (old, entries), (new, later) = sorted(
        (_log(asked.first), _log(asked.second)), key=lambda pair: pair[0].size
    )
    if old.origin != new.origin:
        raise NotReady("the two bundles are about two logs.", "Compare bundles of one study.")
    for index, (left, right) in enumerate(zip(entries, later, strict=False)):
        if left != right:
            raise NotProven("fork", f"entry {index} differs: two histories of one log were signed")
    plain = {"same_history": True, "sizes": [old.size, new.size]}
    words = f"One history: {old.size} entries are the beginning of {new.size}."
    _say(json.dumps(plain) if asked.json else words)
    return 0


def _log(path: Path) -> tuple[Checkpoint, list[bytes]]:
    _, files = read_zip(_read(path))
    try:
        checkpoint = parse_text(parse(files["data/log/checkpoint"]).text)
        paths = sorted(name for name in files if name.startswith(ENTRIES))
        entries = [entry for name in paths for entry in parse_entry_bundle(files[name])]
    except (KeyError, ConsiliumError):
        raise NotReady(f"{path} holds no readable log.", "Name a bundle of ours.") from None
    if root(leaf_hash(entry) for entry in entries) != checkpoint.root:
        raise NotProven("entries", f"{path}: the entries do not lead to the signed root")
    return checkpoint, entries


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotReady(
            f"{path} cannot be read ({error.strerror}).", "Name a file that exists."
        ) from None


def _say(text: str) -> None:
    print(text)
