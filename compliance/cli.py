"""`consilium audit`: verify, proof, compare, watch; the base install, no network."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from compliance.errors import NotReady
from compliance.ledger.policy import Policy
from compliance.ledger.proof import check_proof, parse_proof
from compliance.report import made, statements, watching
from compliance.report.compare import compare, read_evidence
from compliance.report.export import RECEIPT
from compliance.report.request import add_words
from compliance.report.verify import Report, verify

MARKS = {
    "pass": "PASS",
    "fail": "FAIL",
    "cannot_tell": "CANNOT TELL",
    "not_applicable": "NOT HERE",
}
POLICY = "whose signatures count; get it from a member you trust"
STATE = "consilium-watch.json"


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
    add_words(export)
    export.set_defaults(run=_export_elsewhere)
    again = commands.add_parser(
        "recompute", help="make every round's model again from kept updates (needs the hub extra)"
    )
    made.add_words(again)
    again.set_defaults(run=_recompute_elsewhere)
    told = commands.add_parser(
        "statement", help="write a hospital's statement of its contribution, or everybody's"
    )
    statements.add_words(told)
    told.set_defaults(run=_statement)
    examples = [
        (export, "export 00112233445566aa --out evidence --home /srv/consilium/hub"),
        (_verify_words(commands), "verify consilium-….zip --policy policy.txt"),
        (_proof_words(commands), "proof entry.tlog-proof --entry entry.note --policy policy.txt"),
        (_compare_words(commands), "compare from-the-hub.zip from-a-hospital.zip"),
        (again, "recompute consilium-….zip --from /srv/consilium/hub/studies/00112233445566aa"),
        (told, "statement consilium-….zip --site north.example --out statement.csv"),
        (_watch_words(commands), "watch mirror-folder bundles --policy policy.txt --once"),
    ]
    for command, words in examples:
        command.epilog = f"example: consilium audit {words}"
        command.add_argument("--json", action="store_true", help="print JSON for machines")
        command.add_argument(
            "--home", type=Path, metavar="DIR", help="for export and recompute: whose home"
        )
    return parser


Commands = argparse._SubParsersAction


def _verify_words(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    check = commands.add_parser("verify", help="verify a bundle, step by numbered step")
    check.add_argument("bundle", type=Path, metavar="BUNDLE")
    check.add_argument("--policy", type=Path, metavar="FILE", help=POLICY)
    check.add_argument("--charter", metavar="ID", help="the charter id that is expected")
    check.add_argument(
        "--consortium-policy", type=Path, metavar="FILE", help="check members and recipe too"
    )
    check.add_argument(
        "--receipt", type=Path, metavar="FILE", help="receipt of the export (BUNDLE.receipt)"
    )
    check.set_defaults(run=_verify)
    return check


def _proof_words(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    proof = commands.add_parser("proof", help="check that one entry stands in a log")
    proof.add_argument("proof", type=Path, metavar="FILE")
    proof.add_argument(
        "--entry", type=Path, metavar="FILE", help="the note; a receipt holds its own"
    )
    proof.add_argument("--policy", type=Path, required=True, metavar="FILE", help=POLICY)
    proof.set_defaults(run=_proof)
    return proof


def _compare_words(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    both = commands.add_parser(
        "compare", help="do two bundles, folders or checkpoints tell one story? exit 1: fork"
    )
    both.add_argument("first", type=Path, metavar="A")
    both.add_argument("second", type=Path, metavar="B")
    both.add_argument("--policy", type=Path, metavar="FILE", help=POLICY)
    both.set_defaults(run=_compare)
    return both


def _watch_words(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    watch = commands.add_parser(
        "watch", help="look at copies of a log again and again; exit 1: it went back or forked"
    )
    watch.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    watch.add_argument("--policy", type=Path, required=True, metavar="FILE", help=POLICY)
    watch.add_argument(
        "--state", type=Path, default=Path(STATE), metavar="FILE", help="what is remembered"
    )
    watch.add_argument("--every", type=float, default=60.0, metavar="S", help="seconds")
    watch.add_argument("--once", action="store_true", help="look once and end")
    watch.set_defaults(run=_watch)
    return watch


def _export_elsewhere(_: argparse.Namespace) -> int:
    raise NotReady("export needs the home of a hub or a site.", "Name it with --home DIR.")


def _recompute_elsewhere(_: argparse.Namespace) -> int:
    raise NotReady("recompute needs the hub extra.", "Say `consilium audit recompute BUNDLE`.")


def _statement(asked: argparse.Namespace) -> int:
    _say(statements.write(asked, statements.log_of(asked)))
    return 0


def _verify(asked: argparse.Namespace) -> int:
    receipt = asked.receipt or _beside(asked.bundle)
    report = verify(
        _read(asked.bundle),
        _text(asked.policy),
        asked.charter,
        consortium_policy=_text(asked.consortium_policy),
        receipt=_read(receipt) if receipt else None,
    )
    if asked.json:
        _say(json.dumps(report.plain(), ensure_ascii=False))
    else:
        _tell(report)
    return report.exit_code


def _beside(bundle: Path) -> Path | None:
    """The receipt that lies beside a bundle, as an export leaves it."""
    path = bundle.with_name(bundle.name + RECEIPT)
    return path if path.is_file() else None


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
    entry = _read(asked.entry) if asked.entry else proof.extra
    if entry is None:
        raise NotReady("the proof brings no entry along.", "Name the note with --entry FILE.")
    quorum = check_proof(proof, entry, policy)
    plain = {
        "index": proof.index,
        "origin": quorum.checkpoint.origin,
        "size": quorum.checkpoint.size,
        "witnesses": sorted(quorum.times),
    }
    witnesses = ", ".join(sorted(quorum.times))
    line = f"Entry {proof.index} stands in {quorum.checkpoint.origin}, cosigned by {witnesses}."
    _say(json.dumps(plain) if asked.json else line)
    return 0


def _compare(asked: argparse.Namespace) -> int:
    first, second = read_evidence(asked.first), read_evidence(asked.second)
    words = compare(first, second, _text(asked.policy))
    sizes = sorted((first.checkpoint.size, second.checkpoint.size))
    _say(json.dumps({"same_history": True, "sizes": sizes}) if asked.json else words)
    return 0


def _watch(asked: argparse.Namespace) -> int:
    policy = _read(asked.policy).decode(errors="replace")
    while True:
        seen = watching.look(asked.paths, policy, watching.remembered(asked.state))
        watching.remember(asked.state, seen)
        _told_of(seen, as_json=asked.json)
        if asked.once or seen.alarms:
            return seen.exit_code
        time.sleep(asked.every)


def _told_of(seen: watching.Look, *, as_json: bool) -> None:
    size = seen.newest.checkpoint.size if seen.newest else 0
    if as_json:
        told = {"size": size, "alarms": seen.alarms, "untold": seen.untold, "one": seen.lines}
        _say(json.dumps(told, ensure_ascii=False))
        return
    for mark, lines in (("FAIL", seen.alarms), ("CANNOT TELL", seen.untold), ("PASS", seen.lines)):
        for line in lines:
            _say(f"{mark:<12}{line}")
    if not (seen.alarms or seen.untold or seen.lines):
        _say("CANNOT TELL nothing to read at these places yet")


def _text(path: Path | None) -> str | None:
    return _read(path).decode(errors="replace") if path else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        words = f"{path} cannot be read ({error.strerror})."
        raise NotReady(words, "Name a file that exists.") from None


def _say(text: str) -> None:
    print(text)
