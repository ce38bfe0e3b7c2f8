"""New study: questions in six steps, with what every rule says beside them, to a proposal."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from compliance.errors import ConsiliumError
from compliance.rules.honest import what_may_be_said
from dashboard import agreeing, choices, drafting, fitting, page, paths, starting, words
from dashboard import noise as noising
from dashboard.asking import Asking
from dashboard.hub_client import open_hub
from dashboard.tabs import aggregating, agreed, comparing, findings, legal, noise, purpose
from dashboard.tabs import starting as start

Plain = dict[str, Any]
FIRST = "cnn2d-small"
STEPS = ("1 Question", "2 Data", "3 Recipe", "4 Training", "5 Terms", "6 Review")


def render() -> None:
    """Draw the page."""
    page.begin("New study", "A draft is not a record: it leaves no trace until you propose it.")
    page.only("researcher")
    with open_hub() as hub:
        datasets = page.ask("datasets", hub.datasets)
        recipes = page.ask("recipes", hub.recipes)
        studies = page.ask("studies", hub.studies)
    if not datasets:
        page.empty(
            "No hospital offers data yet.",
            "At a hospital: `consilium site import FOLDER --dataset NAME`, then "
            "`consilium site serve`.",
        )
        return
    asking = Asking()
    left, right = st.columns((3, 2), gap="large")
    with left:
        place = _steps(asking, datasets, recipes, studies)
    draft = drafting.draft_of(asking.answers, recipes)
    names = {row["site"]: row["title"] for row in datasets}
    with page.problems(), open_hub() as hub:
        found = hub.check(draft)
    with right:
        _beside(found, draft, asking, names)
    with place:
        findings.by_hospital(found, draft, names)


def _steps(
    asking: Asking, datasets: list[Plain], recipes: list[Plain], studies: list[Plain]
) -> DeltaGenerator:
    """Ask; returns the place in the last step for what each hospital would refuse."""
    one, two, three, four, five, six = st.tabs(STEPS)
    titles = {row["site"]: row["title"] for row in datasets}
    with one:
        purpose.question(asking, datasets)
    with two:
        purpose.data(asking, datasets)
    sites = sorted({name.split("|", 1)[0] for name in asking.answers["datasets"]})
    with three:
        _recipe(asking, recipes, purpose.chosen(asking, datasets))
        start.draw(asking, studies)
    with four:
        _training(asking, len(sites) or len(titles))
        noise.draw(asking, recipes, purpose.chosen(asking, datasets))
        agreed.quorum(asking, sites, titles)
    with five:
        _terms(asking, recipes, titles, len(sites))
    with six:
        place = st.container()
        _review(asking, recipes, titles)
    return place


def _terms(asking: Asking, recipes: list[Plain], titles: dict[str, str], count: int) -> None:
    document = drafting.document_of(recipes, asking.answers.get("recipe"))
    agreed.measures(
        asking,
        task=str(document["task"]) if document else "binary",
        classes=drafting.classes_of(document, asking.answers) if document else [],
        baseline=bool(document and document.get("baseline")) and not asking.answers.get("noise"),
    )
    agreed.release(asking, count or len(titles))
    agreed.shares(asking, count or len(titles))
    agreed.dates(asking)
    agreed.documents(asking)
    st.markdown("**Legal block**")
    legal.draw(asking, titles)


def _recipe(asking: Asking, recipes: list[Plain], rows: list[Plain]) -> None:
    names = {row["id"]: row["id"] for row in fitting.fitting(recipes, rows)}
    first = FIRST if FIRST in names else next(iter(names), None)
    chosen = asking.choice("recipe", "Recipe", names, first)
    document = drafting.document_of(recipes, chosen)
    if document is None:
        return
    asking.answers["recipe|classes"] = fitting.classes_of(document, rows)
    told = drafting.classes_of(document, asking.answers)
    if problem := fitting.problem(document, rows):
        st.warning(problem, icon=":material/warning:")
    classes = words.listed([name.replace("_", " ") for name in told])
    size = " by ".join(str(side) for side in document["preprocessing"]["size"])
    st.markdown(f":gray[Network {document['network']['name']}, images {size}, classes {classes}.]")
    left, right = st.columns(2)
    with left:
        for path, (label, low, high) in drafting.COUNTS.items():
            own = paths.inner(document, path)
            asking.count(f"recipe.{path}", label, low, high, int(own if own is not None else low))
        if document["task"] != fitting.DRAWN and not asking.answers.get("noise"):
            balance = {"none": "As they are", "balanced": "Rare classes count more"}
            own = document["class_weights"]
            asking.choice("recipe.class_weights", "Classes of different size", balance, own)
    with right:
        for path, (label, form, least, most) in drafting.NUMBERS.items():
            own = float(paths.inner(document, path))
            asking.number(f"recipe.{path}", label, form, (least, most), own)


def _training(asking: Asking, most: int) -> None:
    for name in ("signatures_required", "min_sites"):
        asking.follow(name, most)
    least = aggregating.draw(asking, most)
    left, right = st.columns(2)
    with left:
        asking.count("max_rounds", "Rounds", 1, 1000, drafting.TERMS["max_rounds"])
        asking.count("round_minutes", "Deadline of a round, minutes", 1, 10_080, 60)
        asking.count("signatures_required", "Hospitals that must sign", 1, most, most)
    with right:
        asking.count(
            "min_sites", "Fewest hospitals in a round", least, most, max(min(2, most), least)
        )
        asking.count("min_examples", "Fewest cases of a hospital", 1, 1_000_000, 20)
        asking.count("min_cell", "Smallest count that may be shown", 1, 1000, 5)
    aggregating.say(asking)
    comparing.draw(most)


def _review(asking: Asking, recipes: list[Plain], names: words.Names) -> None:
    draft = drafting.draft_of(asking.answers, recipes)
    st.markdown(f"#### {draft['title'] or 'Without a title yet'}")
    if draft["summary"]:
        st.markdown(draft["summary"])
    rows = _told(draft, names)
    st.table(
        {"Term": list(rows), "Draft": list(rows.values())}, border="horizontal", hide_header=True
    )
    text = drafting.write_draft(draft)
    st.download_button(
        "Keep the draft as a file",
        text,
        "charter.yaml",
        on_click="ignore",
        icon=":material/download:",
    )
    given = st.file_uploader("Go on with a kept draft", type=["yaml", "yml"], key="kept draft")
    if given is not None and st.button("Use this file", icon=":material/upload_file:"):
        try:
            asking.restart(drafting.answers_of(drafting.read_draft(given.getvalue())))
        except ConsiliumError as error:
            st.error(str(error), icon=":material/error:")


def _told(draft: Plain, names: words.Names) -> dict[str, str]:
    """The draft in few lines, as a person would tell it to a colleague."""
    changes, release = draft["recipe"]["changes"], draft["release"]
    outputs = [choices.OUTPUTS[name].split(" (")[0] for name in release["outputs"]]
    return {
        "Data sets": words.listed(
            [f"{row['id']} of {words.hospital(row['site'], names)}" for row in draft["datasets"]]
        ),
        "Purpose": words.USES.get(draft["purpose"]["use"], draft["purpose"]["use"]),
        "Recipe": str(draft["recipe"]["id"]),
        "Changed numbers": words.listed(list(changes)) if changes else "none",
        "First weights": starting.told(draft.get("start_model")),
        "Rounds": f"{draft['max_rounds']}, each at most {draft['round_seconds'] // 60} min",
        "Signatures": f"{draft['signatures_required']} needed",
        "Aggregation": _rule_told(draft),
        "Noise": noising.told(draft),
        "Floors": f"{draft['min_examples']} cases to train, {draft['min_cell']} to be shown",
        "Quorum": agreeing.quorum_words(draft["quorum"]),
        "Handing out": f"{words.listed(outputs)}; {release['k']} hospitals must agree"
        + ("; one alone can say no" if release["veto"] else ""),
        "Shares": choices.SHARES.get(draft["contribution"]["rule"], draft["contribution"]["rule"]),
    }


def _rule_told(draft: Plain) -> str:
    told = draft.get("aggregator") or {"name": "fedavg", "params": {}}
    rule, _, server = str(told["name"]).partition(".")
    f = told["params"].get("f")
    said = what_may_be_said(rule, int(draft["min_sites"]), int(f) if f else None)
    step = f"; {choices.SERVERS.get(server, server)}" if server else ""
    masks = "; the hub sees only the sum (masks)" if told.get("masked") else ""
    return f"{choices.AGGREGATORS.get(rule, rule)}{step}{masks}. {said}"


def _beside(found: list[Plain], draft: Plain, asking: Asking, names: dict[str, str]) -> None:
    st.subheader("What the rules say")
    refusals = findings.draw(found, draft, names)
    title = str(draft["title"])
    page.act(
        "Propose to the hospitals", "charter.propose", title or "untitled", {"draft": draft},
        icon=":material/send:", primary=True, disabled=refusals > 0 or not title,
    )  # fmt: skip
    if st.button("Begin anew", icon=":material/delete_sweep:", type="tertiary"):
        asking.restart({})


if __name__ == "__main__":
    render()
