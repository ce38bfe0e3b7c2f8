"""The model card in Markdown, with the headings of the Hugging Face template.

Every text of others is written so that it stays text: neither HTML nor Markdown in a title does
anything.

Source: design/compliance.md §9.2; huggingface_hub, modelcard_template.md.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from compliance.records.charter import CharterBody
from compliance.report.card import LIMITS
from compliance.report.exchange.released import Number, Released, made_in
from compliance.report.log import Log
from compliance.report.narrative import MARKER

STATEMENT = "Evidence drawn from a signed log. Not a legal determination."
_MARKS = re.compile(r"[\\`*_\[\]|~@!$]|:(?=//)|(?<=www)\.|^[#+\-=]")
_NUMBER = re.compile(r"^(\d+)(?=[.)](?:\s|$))")
Section = tuple[int, str, str]


def modelcard(log: Log, model: Released, missing: str = "") -> bytes:
    """Write the card of one model as Markdown.

    Args:
        log: of its study.
        model: which one.
        missing: which layers the released file lacks, by its recipe; empty where it is whole.
    """
    head = f"# {plain(log.state.charter.title)}\n"
    uses = _uses(model, missing)
    sections = (*_model(log, model), *uses, *_training(log, model), *_results(log, model))
    body = "".join(
        f"\n{'#' * level} {title}\n\n{text or f'*{MARKER}*'}\n" for level, title, text in sections
    )
    return f"{head}{body}\n---\n\n{STATEMENT}\n".encode()


def plain(text: str) -> str:
    """Text of others: no tag, no link, no table, no heading comes out of it."""
    marked = _MARKS.sub(r"\\\g<0>", html.escape(text.strip(), quote=False))
    return _NUMBER.sub(r"\1\\", marked)


def _model(log: Log, model: Released) -> list[Section]:
    charter = log.state.charter
    facts = {
        "Title": charter.title,
        "Summary": charter.summary,
        "Model": f"{model.model_sha256}, made in round {made_in(log, model.model_sha256)}",
        "State": f"{log.state.released.get(model.model_sha256, '')} (entry {model.entry})",
        "Developed by": charter.researcher.split("+", 1)[0],
        "Task": f"{charter.task.kind}: {', '.join(charter.task.labels)}",
        "Card in this bundle": "card.json" if model.has_card else "none",
    }
    sources = {
        "Log": f"{log.checkpoint.origin}, size {log.checkpoint.size}",
        "Charter": log.state.charter_id,
    }
    return [
        (2, "Model Details", f"As of {plain(log.as_of)}."),
        (3, "Model Description", _facts(facts)),
        (3, "Model Sources", _facts(sources)),
    ]


def _uses(model: Released, missing: str) -> list[Section]:
    def told(field: str) -> str:
        text = getattr(model.narrative, field)
        return plain(text) if text else ""

    risks = _facts(
        {
            "Risks": model.narrative.risks or MARKER,
            "Biases": model.narrative.biases or MARKER,
            "Population": model.narrative.population or MARKER,
            "Missing layers": missing,
            "Limits of this card": LIMITS,
        }
    )
    return [
        (2, "Uses", _facts({"Users": model.narrative.users or MARKER})),
        (3, "Direct Use", told("intended_use")),
        (3, "Downstream Use", ""),
        (3, "Out-of-Scope Use", told("out_of_scope")),
        (2, "Bias, Risks, and Limitations", risks),
        (3, "Recommendations", ""),
        (2, "How to Get Started with the Model", plain(missing)),
    ]


def _training(log: Log, model: Released) -> list[Section]:
    charter = log.state.charter
    return [
        (2, "Training Details", "All of it is in the signed log; the data stay at the hospitals."),
        (3, "Training Data", _data(charter)),
        (3, "Training Procedure", _rounds(log, model)),
        (4, "Preprocessing", plain(charter.task.preprocessing_sha256)),
        (4, "Training Hyperparameters", _facts(_parameters(charter))),
        (4, "Speeds, Sizes, Times", ""),
    ]


def _results(log: Log, model: Released) -> list[Section]:
    charter = log.state.charter
    subgroups = ", ".join(charter.evaluation.subgroups) or "none agreed"
    names = ", ".join(charter.evaluation.metrics)
    primary = f"{charter.evaluation.primary} is the primary one of {names}"
    visible = sum(row.value.value is not None for row in model.numbers)
    summary = f"{visible} values of this model are shown, each with its entry in the log."
    made = {"Family": charter.recipe.family, "Recipe": charter.recipe.sha256}
    people = model.narrative.stakeholders
    return [
        (2, "Evaluation", "Each hospital measured on its own cases and reported it itself."),
        (3, "Testing Data, Factors & Metrics", "As the charter agreed before the run."),
        (4, "Testing Data", "Validation or test split of each hospital, as the table says."),
        (4, "Factors", plain(f"Subgroups: {subgroups}")),
        (4, "Metrics", plain(primary)),
        (3, "Results", _numbers(model)),
        (4, "Summary", summary),
        (2, "Model Examination", ""),
        (2, "Environmental Impact", ""),
        (2, "Technical Specifications", ""),
        (3, "Model Architecture and Objective", _facts(made)),
        (3, "Compute Infrastructure", "The computers of the hospitals and of the hub."),
        (4, "Hardware", ""),
        (4, "Software", plain(f"Flower bundle {charter.bundle_sha256}")),
        (2, "Citation", ""),
        (2, "Glossary", ""),
        (2, "More Information", _facts(_people(model))),
        (2, "Model Card Authors", plain(people) if people else ""),
        (2, "Model Card Contact", ""),
    ]


def _people(model: Released) -> dict[str, str]:
    return {
        "Maintenance": model.narrative.say("maintenance"),
        "Funding": model.narrative.say("funding"),
        "Stakeholders": model.narrative.say("stakeholders"),
    }


def _parameters(charter: CharterBody) -> dict[str, str]:
    dp = charter.dp
    params = ", ".join(
        f"{name} {value}" for name, value in sorted(charter.aggregator.params.items())
    )
    noise = (
        f"epsilon at most {dp.epsilon}, delta {dp.delta}, per {dp.unit}" if dp else "none agreed"
    )
    return {
        "Recipe": f"{charter.recipe.id} version {charter.recipe.version}",
        "Aggregator": f"{charter.aggregator.name} {params}".strip(),
        "Differential privacy": noise,
        "Rounds at most": str(charter.max_rounds),
        "Examples per update at least": str(charter.min_examples),
    }


def _data(charter: CharterBody) -> str:
    rows = [
        (row.site, row.id, " ".join(row.duo), row.version, f"{row.site}-{row.id}.croissant.json")
        for row in charter.datasets
    ]
    return _table(("Hospital", "Dataset", "Terms (DUO)", "Version", "Description"), rows)


def _rounds(log: Log, model: Released) -> str:
    rounds = log.state.rounds_closed
    last = max((i for i, row in enumerate(rounds) if row.model_sha256 == model.model_sha256),
               default=-1)  # fmt: skip
    rows = [
        (str(row.number), ", ".join(sorted(row.used)), _left_out({**row.excluded, **row.missing}),
         str(row.index))
        for row in rounds[: last + 1]
    ]  # fmt: skip
    return _table(("Round", "Used", "Left out", "Entry"), rows)


def _left_out(reasons: dict[str, str]) -> str:
    return ", ".join(f"{site} ({reason})" for site, reason in sorted(reasons.items())) or "nobody"


def _numbers(model: Released) -> str:
    found = [*model.numbers, *model.earlier]
    if not found:
        return "No hospital has reported a number about this model."
    head = ("Metric", "Value", "95 % interval", "n", "Where and when", "About", "Entry")
    return _table(head, (_row(row, model.model_sha256) for row in found))


def _row(row: Number, model: str) -> tuple[str, ...]:
    value = row.value
    about = row.about(model)
    interval = f"{value.low} to {value.high}" if value.low and value.high else "none"
    shown = value.value if value.value is not None else "not shown: too few cases"
    count = "not shown" if value.n is None else str(value.n)
    return (row.metric, shown, interval, count, row.where, about, str(row.entry))


def _facts(facts: dict[str, str]) -> str:
    return "\n".join(f"- **{name}:** {plain(text)}" for name, text in facts.items() if text)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(plain(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
