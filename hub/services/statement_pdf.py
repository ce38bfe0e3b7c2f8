"""A statement of contributions as PDF, drawn as the report is."""

from __future__ import annotations

from compliance.errors import NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.report.log import Files, Log
from compliance.report.reading import read_log
from compliance.report.story.statement import tell_statement
from compliance.signing.note import parse
from hub.services import report_pdf
from hub.services.ledger import LedgerService


def statement(log: Log, attached: Files, site: str | None = None) -> bytes | None:
    """The statement of a hospital, or of all, as PDF; None where typst is not installed."""
    if not report_pdf.available():
        return None
    return report_pdf.report_pdf(tell_statement(log, attached, site), whole=False)


def statement_of(ledger: LedgerService, study: str, site: str | None) -> bytes:
    """The statement of a study whose log is here, under its newest witnessed checkpoint.

    Raises:
        NotReady: too few hospitals have cosigned yet, or typst is not installed.
    """
    note = ledger.checkpoint(study)
    entries = ledger.entries(study, 0, parse_text(parse(note).text).size)
    drawn = statement(read_log(entries, note), {}, site)
    if drawn is None:
        raise NotReady("this hub cannot draw.", "Take the CSV, or install typst at the hub.")
    return drawn
