"""Under which terms a released model may be used, as the charter and the data's owners set them.

Nothing is added: each line follows from the signed log. Whoever gets the model gets them with it.
"""

from __future__ import annotations

from compliance.records.charter import CharterBody
from compliance.report.card import LIMITS
from compliance.report.exchange.modelcard import plain
from compliance.report.exchange.released import Released, made_in
from compliance.report.log import Log
from compliance.report.story.words import DUO, USES

RESEARCH = "Research use only. Not for clinical use. Not a medical device."


def terms(log: Log, model: Released, missing: str = "") -> bytes:
    """Write the terms of one model as Markdown; `missing` says which layers its file lacks."""
    charter = log.state.charter
    sections = {
        "Model": _model(log, model),
        "Limits": [RESEARCH, LIMITS, *([missing] if missing else [])],
        "What it was made for": _purpose(charter),
        "What the hospitals' data allow": _data(charter),
        "How it left": _left(log, model),
    }
    body = "".join(
        f"\n## {title}\n\n" + "".join(f"- {plain(line)}\n" for line in lines)
        for title, lines in sections.items()
    )
    return f"# Terms of use: {plain(charter.title)}\n{body}".encode()


def _model(log: Log, model: Released) -> list[str]:
    state = log.state.released.get(model.model_sha256, "not released")
    return [
        f"{model.model_sha256}, made in round {made_in(log, model.model_sha256)}",
        f"by the log: {state}; a model that is called back must not be used any more",
    ]


def _purpose(charter: CharterBody) -> list[str]:
    purpose = charter.purpose
    disease = f": {', '.join(purpose.disease)}" if purpose.disease else ""
    return [
        f"{USES[purpose.use]} ({purpose.use}){disease}",
        "use for profit was agreed" if purpose.for_profit else "not for profit",
        "commercial use was agreed" if purpose.commercial else "no commercial use",
        "Another purpose needs the hospitals' agreement.",
    ]


def _data(charter: CharterBody) -> list[str]:
    return [
        f"{row.site}, {row.id}: "
        + "; ".join(f"{DUO[term]} ({term})" for term in row.duo)
        + (f"; {', '.join(row.disease)}" if row.disease else "")
        for row in charter.datasets
    ]


def _left(log: Log, model: Released) -> list[str]:
    release = log.state.charter.release
    return [
        f"as {model.form}, entry {model.entry} of {log.checkpoint.origin}",
        f"after at least {release.k} hospitals had agreed",
        f"The charter is {log.state.charter_id}; the log is the evidence, this page is not.",
    ]
