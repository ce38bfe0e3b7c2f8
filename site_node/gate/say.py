"""Words for people: tables and cards of the command line, from plain values."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from getpass import getpass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from compliance.errors import NotReady
from compliance.records.measures import shortened
from site_node.gate.keys import needs_passphrase

WIDTH = 30
SHOWN = 5
PURPOSES = {
    "GRU": "general research",
    "HMB": "health and biomedical research",
    "DS": "research on a disease",
    "POA": "research on origins and ancestry",
    "MDS": "development of methods",
}


class Progress:
    """A bar that is drawn over itself; where nobody looks on, one plain line at the end.

    Args:
        out: where to draw, normally standard error.
        quiet: draw nothing (a machine reads along).
        clock: seconds that only grow.
    """

    def __init__(
        self, out: TextIO, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out, self._quiet, self._clock = out, quiet, clock
        self._bar = out.isatty() and not quiet
        self._drawn, self._last = -1.0, ""

    def __call__(self, words: str, share: float) -> None:
        """Show how far it is: words and a share from 0 to 1."""
        self._last = f"{words}: {share:4.0%}"
        now = self._clock()
        if not self._bar or (now - self._drawn < 0.1 and share < 1):  # noqa: PLR2004 - ten a second
            return
        self._drawn = now
        filled = round(WIDTH * min(max(share, 0.0), 1.0))
        self._out.write(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {self._last:<40.40}")
        self._out.flush()

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the line."""
        if self._bar and self._drawn >= 0:
            self._out.write("\n")
        elif self._last and not self._quiet:
            self._out.write(f"{self._last}\n")


def study_lines(rows: list[dict[str, Any]]) -> list[str]:
    """One line per study: id, answer, state, title."""
    if not rows:
        return ["No study names this hospital."]
    lines = [f"{'study':<18}{'our answer':<12}{'state':<12}{'round':<8}title"]
    for row in rows:
        answer = row["own_answer"] if row["believed"] else "ALARM"
        rounds = f"{row.get('round') or 0}/{row.get('max_rounds') or '?'}"
        state = str(row.get("state") or "")
        lines.append(f"{row['study']!s:<18}{answer:<12}{state:<12}{rounds:<8}{row.get('title')}")
    return lines


def card_lines(card: dict[str, Any]) -> list[str]:
    """What will happen here, as a page to read before signing."""
    purpose, rounds, outputs = card["purpose"], card["rounds"], card["outputs"]
    gain = "for profit" if purpose["for_profit"] else "not for profit"
    bundle = "the trusted one" if card["bundle"]["same"] else "NOT THE TRUSTED ONE"
    floors = "; ".join(
        f"{word} {card['floors'][name]} (own {card['own_floors'][name]})"
        for word, name in (("cases", "min_examples"), ("counts", "min_cell"))
    )
    signed = ", ".join(card["signed"]) or "nobody yet"
    need = f"{card['signatures_required']} of {len(card['sites'])} are needed"
    rows = [
        ("Asked by", f"{card['asked_by']}; {PURPOSES.get(purpose['use'])}, {gain}"),
        *_data_rows(card),
        ("Trained", card["trains"] or "the recipe's document is not known here"),
        *_begin_rows(card),
        *_leaving_rows(card),
        *(card["masks"] or {}).items(),
        ("Rounds", f"at most {rounds['most']}, each up to {rounds['seconds_each']} s"),
        ("Privacy", card["epsilon"]),
        ("Floors", floors),
        *_policy_rows(card["own_policy"]),
        ("Quorum", card["quorum"]),
        ("Signed", f"{signed}; {need}"),
        ("Handed out", f"{', '.join(outputs['outputs'])} after {outputs['k']} hospitals agreed"),
        ("Valid", f"{card['starts']} to {card['expires']}; kept to {card['retention_until']}"),
        *_legal_rows(card["legal"]),
        ("Bundle", f"{bundle} ({card['bundle']['charter']})"),
        ("Charter id", card["charter_id"]),
        ("Our answer", card["own_answer"] or "none yet"),
    ]
    lines = [f"{card['title']}  (study {card['study']})", card["summary"], ""]
    lines += [f"{name:<14}{words}" for name, words in rows]
    return [*lines, "", *verdict_lines(card["verdicts"])]


def _data_rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for row in card["datasets"]:
        if not row["here"]:
            rows.append(("My data", f"{row['id']}: this version is NOT here"))
            continue
        cases = ", ".join(f"{count} {split}" for split, count in row["cases"].items())
        rows.append(("My data", f"{row['id']}: {cases}; {row['patients']} patients"))
    return rows or [("My data", "none is named")]


def _begin_rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    given = card["begins"]
    return [] if given is None else [("Begins with", f"a given model: {given}")]


def _leaving_rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    leaves = card["leaves"]
    size = leaves["model_change_mib_per_round"]
    told = "unknown network" if size is None else f"{size} MiB a round"
    metrics = ", ".join(shortened(leaves["metrics"]))
    return [
        ("What leaves", f"the change of the model ({told}), the metrics {metrics},"),
        ("", f"counts not below {leaves['counts_not_below']}, signatures; nothing else"),
    ]


def _policy_rows(said: dict[str, str]) -> list[tuple[str, str]]:
    """What this hospital's own policy says; whatever the charter says, it holds here."""
    return [
        ("Own policy" if place == 0 else "", f"{name}: {words}")
        for place, (name, words) in enumerate(said.items())
    ]


def _legal_rows(legal: dict[str, Any] | None) -> list[tuple[str, str]]:
    if legal is None:
        return [("Legal", "NO ROW FOR THIS HOSPITAL")]
    ethics, dua = legal["ethics"], legal["dua"]
    until = ethics["expires"] or "no end"
    basis = f"{legal['lawful_basis']}, {legal['special_category_basis']}"
    return [
        ("Legal", f"{legal['controller']}: {basis}"),
        ("", f"ethics {ethics['status']} ({ethics['ref']}) until {until}"),
        ("", f"data use {dua['ref']} until {dua['expires'] or 'no end'}"),
    ]


def verdict_lines(rows: Iterable[dict[str, Any]]) -> list[str]:
    """What every rule says; refusals first, with what was found and agreed."""
    listed = sorted(rows, key=lambda row: bool(row["allowed"]))
    refused = [row for row in listed if not row["allowed"]]
    if not refused:
        return [f"All {len(listed)} rules and this hospital's own policy say yes."]
    lines = [f"{len(refused)} of {len(listed)} rules say NO:"]
    return lines + [f"  {row['rule']}: {row['sentence']}" for row in refused]


def journal_lines(rows: list[dict[str, Any]]) -> list[str]:
    """One line per event, private details included."""
    if not rows:
        return ["The journal is empty."]
    return [
        f"{row['at']}  {row['kind']:<18} {row['study'] or '-':<17} {row['rule'] or '':<20} "
        + " ".join(f"{name}={value}" for name, value in row["data"].items())
        for row in rows
    ]


def check_lines(checks: list[dict[str, Any]]) -> list[str]:
    """One line per finding; what is not well carries its fix."""
    lines = []
    for row in checks:
        lines.append(f"{'ok ' if row['well'] else 'NOT'} {row['code']:<16} {row['finding']}")
        if not row["well"] and row["fix"]:
            lines.append(f"    {'':<16} {row['fix']}")
    return lines


def dataset_lines(rows: list[dict[str, Any]]) -> list[str]:
    """One line per dataset, exact counts: they are this hospital's own."""
    if not rows:
        return ["No dataset is here."]
    return [
        f"{row['name']:<20} {row['version'][:19]}…  {row['patients']} patients  "
        + ", ".join(f"{split} {_total(count)}" for split, count in row["n_by_split"].items())
        for row in rows
    ]


def _total(count: Any) -> int:
    return int(count) if isinstance(count, int) else sum(int(n) for n in count.values())


def plain_summary(summary: Any) -> dict[str, Any]:
    """A dataset's summary as plain values; exact counts, so for this hospital's eyes only."""
    return {
        "name": summary.name,
        "version": summary.version,
        "n_by_split": {split: _plain(count) for split, count in summary.n_by_split.items()},
        "patients": int(summary.patients),
        "positives": _plain(summary.positives),
        "modality": list(summary.modality),
        "body_part": list(summary.body_part),
        "description": summary.description,
        "description_sha256": summary.description_sha256,
        "quality_sha256": summary.quality_sha256,
        "deid": dict(summary.deid),
        "dir": str(summary.dir),
    }


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def import_lines(told: dict[str, Any]) -> list[str]:
    """What an import came to; counts by reason, no file name."""
    lines = [f"{name}: {value}" for name, value in told.items() if not isinstance(value, Mapping)]
    for name, counts in told.items():
        if isinstance(counts, Mapping) and counts:
            lines.append(f"{name}: " + ", ".join(f"{key} {n}" for key, n in counts.items()))
    return lines


def quarantine_lines(rows: list[dict[str, Any]]) -> list[str]:
    """One line per dataset and reason; no path, no name."""
    if not rows:
        return ["Nothing is in quarantine."]
    lines = []
    for row in rows:
        more = " …" if row["count"] > SHOWN else ""
        files = " ".join(row["files"][:SHOWN])
        lines.append(f"{row['dataset']:<20} {row['reason']:<30} {row['count']:>6}  {files}{more}")
    return lines


def passphrase_of(
    file: Path | None, keys: Path | None, *, new: bool = False, whose: str = "the hospital's key"
) -> str | None:
    """A passphrase: from a file, typed, or None when the hospital's key has none.

    Args:
        file: file with the passphrase, or None to ask.
        keys: folder of the keys; None when the passphrase is not that of a key.
        whose: what it opens, in words.
        new: a key is about to be made; the passphrase is asked for twice.

    Raises:
        NotReady: nobody can type here, or the two did not agree.
    """
    if file is not None:
        return file.read_text(encoding="utf-8").rstrip("\n")
    if not new and keys is not None and not needs_passphrase(keys / "institution.key"):
        return None
    if not sys.stdin.isatty():
        raise NotReady(
            "a passphrase is needed, and nobody can type it here.",
            "Name a file with --passphrase-file.",
        )
    typed = getpass(f"Passphrase of {whose}: ")
    if new and getpass("The same once more: ") != typed:
        raise NotReady("the two passphrases differ.", "Try again.")
    return typed


def typed_confirmation(lines: list[str], what: str) -> str:
    """Show a page and let the person type the first characters of what would be signed.

    Args:
        lines: the page.
        what: what carries the hash, such as `charter id`.

    Raises:
        NotReady: nobody can type here.
    """
    sys.stderr.write("\n".join(lines) + "\n")
    if not sys.stdin.isatty():
        raise NotReady("nobody can type the confirmation here.", "Use --yes after reading.")
    sys.stderr.write(f"Type the first 8 characters of the {what} (after sha256:): ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def welcome_lines(told: dict[str, str], *, protected: bool, waits: int | None) -> list[str]:
    """What joining came to, and what is next.

    Args:
        told: site, hub and home.
        protected: whether the hospital's key has a passphrase.
        waits: how many members must admit it; 0 when they were not asked yet, None before the
            consortium is founded.
    """
    lines = [f"{told['site']} has joined {told['hub']}. Keys and settings: {told['home']}."]
    if not protected:
        lines.append("The hospital's key has NO passphrase: whoever reads the file can sign.")
    admit = f"consilium site admit {told['site']}"
    if waits is None:
        lines.append("When the hub lays the agreement before you: consilium site motions.")
    elif waits:
        lines.append(f"It waits for {waits} members: each of them runs `{admit}`.")
    else:
        lines.append(f"The members were not asked yet. Ask them: {admit}.")
    return [*lines, "Next: consilium site import, then consilium site serve."]
