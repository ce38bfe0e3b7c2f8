"""New study: questions in six steps, with what every rule says beside them, to a proposal."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.errors import ConsiliumError
from dashboard import drafting, page, words
from dashboard.asking import Asking
from dashboard.hub_client import open_hub
from dashboard.tabs import findings, legal

Plain = dict[str, Any]
STEPS = ("1 Question", "2 Data", "3 Recipe", "4 Training", "5 Terms", "6 Review")


def render() -> None:
    """Draw the page."""
    page.begin("New study", "A draft is not a record: it leaves no trace until you propose it.")
    page.only("researcher")
    with open_hub() as hub:
        datasets = page.ask("datasets", hub.datasets)
        recipes = page.ask("recipes", hub.recipes)
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
        _steps(asking, datasets, recipes)
    draft = drafting.draft_of(asking.answers, recipes)
    with right:
        _beside(draft, asking, {row["site"]: row["title"] for row in datasets})


def _steps(asking: Asking, datasets: list[Plain], recipes: list[Plain]) -> None:
    one, two, three, four, five, six = st.tabs(STEPS)
    with one:
        _question(asking)
    with two:
        _data(asking, datasets)
    with three:
        _recipe(asking, recipes)
    with four:
        _training(asking, datasets)
    with five:
        titles = {row["site"]: row["title"] for row in datasets}
        legal.draw(asking, titles)
    with six:
        _review(asking, recipes)


def _question(asking: Asking) -> None:
    asking.text("title", "Title", placeholder="Pneumonia on chest radiographs")
    asking.text("summary", "Summary: what is asked, and of what use is the answer", area=True)
    asking.choice("use", "Use of the data", words.USES, "HMB")
    asking.text("disease", "Disease codes, with commas", placeholder="MONDO:0005249")
    asking.yes("commercial", "For a commercial purpose")
    asking.yes("for_profit", "By an organisation for profit")


def _data(asking: Asking, datasets: list[Plain]) -> None:
    labels = {f"{row['site']}|{row['dataset']}": _dataset(row) for row in datasets}
    asking.several("datasets", "Data sets, one or more for each hospital", labels)
    st.markdown(":gray[Sizes are told in steps only; a size below a hospital's floor is not told.]")


def _dataset(row: Plain) -> str:
    kinds = ", ".join(word.upper() for word in row["modality"])
    return f"{row['title']} · {row['dataset']} · {kinds} · {row['examples']} cases"


def _recipe(asking: Asking, recipes: list[Plain]) -> None:
    names = {row["id"]: row["id"] for row in recipes}
    chosen = asking.choice("recipe", "Recipe", names, "cnn2d-small")
    document = drafting.document_of(recipes, chosen)
    if document is None:
        return
    classes = words.listed([name.replace("_", " ") for name in document["classes"]])
    size = " by ".join(str(side) for side in document["preprocessing"]["size"])
    st.markdown(f":gray[Network {document['network']['name']}, images {size}, classes {classes}.]")
    left, right = st.columns(2)
    with left:
        for path, (label, low, high) in drafting.COUNTS.items():
            own = drafting.inner(document, path)
            asking.count(f"recipe.{path}", label, low, high, int(own if own is not None else low))
        balance = {"none": "As they are", "balanced": "Rare classes count more"}
        asking.choice(
            "recipe.class_weights", "Classes of different size", balance, document["class_weights"]
        )
    with right:
        for path, (label, form, least, most) in drafting.NUMBERS.items():
            own = float(drafting.inner(document, path))
            asking.number(f"recipe.{path}", label, form, (least, most), own)


def _training(asking: Asking, datasets: list[Plain]) -> None:
    sites = {name.split("|", 1)[0] for name in asking.answers.get("datasets") or []}
    most = max(1, len(sites) or len({row["site"] for row in datasets}))
    left, right = st.columns(2)
    with left:
        asking.count("max_rounds", "Rounds", 1, 1000, drafting.TERMS["max_rounds"])
        asking.count("round_minutes", "Deadline of a round, minutes", 1, 10_080, 60)
        asking.count("signatures_required", "Hospitals that must sign", 1, most, most)
    with right:
        asking.count("min_sites", "Fewest hospitals in a round", 1, most, min(2, most))
        asking.count("min_examples", "Fewest cases of a hospital", 1, 1_000_000, 20)
        asking.count("min_cell", "Smallest count that may be shown", 1, 1000, 5)


def _review(asking: Asking, recipes: list[Plain]) -> None:
    draft = drafting.draft_of(asking.answers, recipes)
    st.markdown(f"#### {draft['title'] or 'Without a title yet'}")
    if draft["summary"]:
        st.markdown(draft["summary"])
    rows = {
        "Data sets": words.listed([f"{row['id']} of {row['site']}" for row in draft["datasets"]]),
        "Recipe": str(draft["recipe"]["id"]),
        "Changed numbers": words.listed(list(draft["recipe"]["changes"]))
        if draft["recipe"]["changes"]
        else "none",
        "Rounds": f"{draft['max_rounds']}, each at most {draft['round_seconds'] // 60} min",
        "Signatures": f"{draft['signatures_required']} needed",
        "Floors": f"{draft['min_examples']} cases to train, {draft['min_cell']} to be shown",
    }
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


def _beside(draft: Plain, asking: Asking, names: dict[str, str]) -> None:
    st.subheader("What the rules say")
    with page.problems(), open_hub() as hub:
        found = hub.check(draft)
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
