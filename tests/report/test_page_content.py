"""README.html: who decided what, who was left out, what was spent, and what it does not prove."""

from __future__ import annotations

import json
from functools import cache

from compliance.report import narrative
from compliance.report.consortium import consortium_files
from compliance.report.page import page
from compliance.report.people import write_people
from compliance.report.story import checking, clauses
from compliance.report.story.pieces import Table
from compliance.rules.words import SENTENCES
from compliance.signing.note import seal
from tests import factories as make
from tests.compliance.test_rules_masking import world as masked
from tests.report.evidence import SITES, release, told
from tests.report.readers import Outline, card, log_of, read
from tests.report.test_consortium_proofs import both, policy, signed
from tests.simulator import HUB, Federation, shares


@cache
def story() -> Federation:
    """A study that says nearly everything once."""
    return told()


@cache
def shown() -> Outline:
    """Its page."""
    return read(story())


def test_every_signature_has_its_name_its_time_and_its_meaning() -> None:
    """21 CFR 11.50: in the table, for the charter, the release, the stop, and each witness."""
    name = "Dr. Žofie Dvořáková"
    attached = {"data/people.csv": write_people({make.RESEARCHER: name, "a" * 26: "Ida"})}
    rows = read(story(), attached).rows
    found = [row for row in rows if len(row) == 8]

    assert found[0][0] == "Printed name"
    authored = next(row for row in found if row[3] == "authored")
    assert authored[:3] == [name, make.RESEARCHER, "researcher"]
    assert authored[4] == "22 Nov 2026, 09:00 UTC"
    assert authored[5].endswith("UTC")
    assert authored[6:] == ["0", "self-signed"]
    permits = [row for row in found if row[3].startswith("approved the protocol")]
    assert {row[1] for row in permits} == {f"{site}/institution" for site in SITES}
    assert all("permits use of cxr until 22 Nov 2027" in row[3] for row in permits)
    reviewed = next(row for row in found if row[3] == "reviewed")
    assert (reviewed[0], reviewed[7]) == ("Ida", "hub-attested")
    witnessed = [row for row in found if row[3] == "witnessed"]
    assert {row[1] for row in witnessed} == {f"{site}/witness" for site in SITES}


def test_an_erased_name_leaves_the_name_of_the_key() -> None:
    """Without people.csv the report is whole, and says that names are missing."""
    rows = [row for row in shown().rows if len(row) == 8 and row[3] == "authored"]

    assert [row[:2] for row in rows] == [["\u2014", make.RESEARCHER]]
    assert "This bundle brings no printed names" in shown().text


def test_every_refusal_is_shown_with_the_sentence_of_its_rule() -> None:
    """Also how many were counted and not written one by one."""
    assert SENTENCES["site.floor"] in shown().text
    assert "Another 2 were counted" in shown().text
    empty = read(Federation())
    assert "No refusal stands in this log" in empty.text


def test_who_was_left_out_is_named_with_the_reason_in_words() -> None:
    """Used, excluded, missing, aborted: each invited hospital once."""
    world = Federation(sites=SITES)
    world.opened().submitted(*SITES[:2])
    sent = world.closing()
    world.must("round.closed", sent, HUB)
    world.opened()
    world.must("round.aborted", {"round": 2, "reason": "too_few", "on_behalf": None}, HUB)
    world.opened()

    text = read(world).text

    assert f"○ {SITES[2]}: no answer" in text
    assert "○ no model: too few hospitals answered" in text
    assert "○ still open" in text


def test_an_excluded_update_is_shown_as_arrived_and_left_out() -> None:
    """A reader sees the difference between silent and refused."""
    world = Federation(sites=SITES)
    world.opened().submitted()
    used = {site: world.training(site)["update_sha256"] for site in SITES[:2]}
    body = world.closing(used=used, weights=shares(list(used)), excluded={SITES[2]: "norm_bound"})
    world.must("round.closed", body, HUB)

    assert f"✕ {SITES[2]}: larger than agreed" in read(world).text


def test_the_privacy_budget_is_shown_as_an_exact_sum() -> None:
    """Spent, cap and what is left, as decimals; no percentage that rounds."""
    found = [row for row in shown().rows if len(row) == 7 and row[1] == make.DATASET]
    rows = {row[0]: row for row in found if "update" not in row[2]}

    assert rows[SITES[0]][2:5] == ["1.0", "3.0", "2.0"]
    assert rows[SITES[2]][2:5] == ["1.0", "2.0", "1.0"]
    bare = Federation(dp=None, datasets=[make.dataset_row(s, epsilon=None) for s in SITES])
    assert "Differential privacy was not agreed" in read(bare).text


def test_a_study_without_a_round_says_so() -> None:
    """Nothing is shown that has not happened."""
    text = read(Federation()).text

    assert "No model yet: no round is closed. The charter names 3 hospitals." in text
    assert "No round was opened yet." in text
    assert "No release was asked for: none in this log." in text
    assert "No model was released." in text
    assert "Nothing but rounds, measurements and releases" in text


def test_a_masked_study_says_what_can_be_shown() -> None:
    """Inclusion of masked updates only."""
    world = masked(
        sites=SITES, datasets=[make.dataset_row(site, epsilon=None) for site in SITES], dp=None
    )
    assert world.open() is not None

    assert "the masked update of each hospital" in read(world).text


def test_the_start_is_told_as_drawn_or_given() -> None:
    """Whoever reads the report knows whether the first weights can be drawn again."""
    file, charter = make.sha("file"), make.sha("earlier charter")
    given = Federation(start_model={"source": "file", "sha256": file})
    earlier = Federation(start_model={"source": "released", "sha256": charter})

    assert "drawn from the study's id and the recipe's seed" in read(Federation()).text
    assert f"began from a given model, {make.sha('model 0')}: a file {file}" in read(given).text
    assert f"a released model of the study with charter {charter}" in read(earlier).text


def test_the_legal_block_is_shown_with_permits_transfers_and_bases() -> None:
    """Everything a hospital stated; nothing is added."""
    permit = {"ref": "Permit 7", "sha256": make.sha("p"), "expires": "2028-05-01T00:00:00Z"}
    rows = [
        make.legal_row(SITES[0], permit=permit, us_basis="safe_harbor",
                       objections_checked="2026-11-21T23:00:00Z"),
        make.legal_row(SITES[1], dpia={"required": False, "ref": None, "sha256": None}),
        make.legal_row(SITES[2], ethics={"status": "waived", "ref": "REC 9",
                                         "sha256": make.sha("w"), "expires": None}),
    ]  # fmt: skip
    block = make.charter()["legal"] | {
        "sites": rows, "joint_controllers": False, "processor": None,
        "processing_agreement": None, "transfers": [{"country": "CH", "mechanism": "adequacy"}],
    }  # fmt: skip
    documents = [{"kind": kind, "ref": f"Paper {kind}", "sha256": make.sha(kind)}
                 for kind in ("protocol", "intended_use")]  # fmt: skip
    text = read(Federation(legal=block, documents=documents)).text

    for words_ in ("permit Permit 7, until 1 May 2028",
                   "objections applied 21 Nov 2026, 23:00 UTC",
                   "US: safe harbor",
        "protocol: Paper protocol ", "intended use: Paper intended_use ", "CH (adequacy decision)",
                   "stated as not required", "waived: REC 9, no end named",
                   "each its own controller", "processor: none named"):  # fmt: skip
        assert words_ in text, words_


def test_a_released_model_is_shown_with_its_numbers_and_its_card() -> None:
    """Empty fields of a card are marked, never guessed; numbers are claims of their signers."""
    world = Federation(sites=SITES)
    world.play_round()
    model = world.state.model_sha256
    world.opened()
    for site in SITES:
        body = make.metric(site, round=2, model_sha256=model)
        world.must("metric.reported", body, f"{site}/node")
    world.submitted()
    world.must("round.closed", world.closing(model_sha256=make.sha("model 2")), HUB)
    world.approve(*SITES, model=model)
    world.must("model.released", release(world) | {"model_sha256": model}, HUB)

    outline = read(world, card(model, intended_use="Second reading"))

    assert "Second reading" in outline.text
    assert outline.text.count(narrative.MARKER) == 8
    row = next(row for row in outline.rows if row[:2] == [SITES[0], "cxr"] and len(row) == 8)
    assert row[2:7] == ["before training, validation", "auroc", "0.87", "0.82 to 0.91", "200"]
    assert "not in this bundle" in read(world).text
    broken = {path: b"no json" for path in card(model)}
    assert "not in this bundle" in read(world, broken).text
    assert "to be completed" in read(world, {path: b"{}" for path in card(model)}).text


def test_a_reader_with_this_page_alone_finds_the_five_numbers() -> None:
    """Charter id, size, root, quorum; and where the fifth stands."""
    log = log_of(story())
    rows = {row[0]: row[1] for row in shown().rows if len(row) == 3}

    assert rows["1 Charter id"] == log.state.charter_id
    assert rows["2 Size"] == str(len(story().entries))
    assert rows["3 Root"].endswith("= (base64)")
    assert rows["4 Quorum"].startswith("2 of 3: ")
    assert rows["5 Manifest hash"] == "read it from manifest.note, line 5"
    assert "not from this bundle" in shown().text


def test_a_clause_is_shown_with_its_answer_and_its_entries() -> None:
    """Four honest answers; a profile that was not chosen is not printed."""
    row = {"id": "gdpr-30-1", "clause": "GDPR Art. 30(1)", "subject": "records", "query": "x",
           "count": 1, "files": [], "supports": "A record.", "outside": "Marked."}  # fmt: skip
    rows = [
        row | {"status": "partial", "entries": [[0, 0], [2, 7]]},
        row | {"id": "hipaa-1", "status": "evidence", "entries": [[n, n] for n in range(9)]},
        row | {"id": "ai-act-9", "status": "none", "entries": []},
        row | {"id": "part11-1", "status": "organisational", "entries": []},
        row | {"id": "device-1", "status": "not_selected", "entries": []},
    ]

    controls = json.dumps({"controls": rows}).encode()
    section = clauses.section(controls)
    tables = [block for block in section.blocks if isinstance(block, Table)]
    plain = json.dumps(section.plain(), ensure_ascii=False)

    assert [table.caption for table in tables] == [
        "Clauses of GDPR", "Clauses of HIPAA", "Clauses of AI Act", "Clauses of 21 CFR Part 11",
    ]  # fmt: skip
    for answer in ("◐ partial evidence", "● evidence in this log", "○ none in this log",
                   "· outside the system", "and 4 more ranges"):  # fmt: skip
        assert answer in plain
    assert "4 clauses looked up" in plain
    with_clauses = Outline(page(log_of(story()), {}, controls).decode())
    assert clauses.TITLE in [title.strip() for _, title in with_clauses.headings]
    assert clauses.TITLE not in shown().text


def test_a_data_set_is_described_in_buckets_where_its_registration_came_along() -> None:
    """From the consortium's log; a forged or broken entry of it changes nothing else."""
    union, study = both()
    attached = {f"data/{path}": data for path, data in
                consortium_files(log_of(study), union.entries, signed(union), policy(union)).items()
                }  # fmt: skip

    text = read(study, attached).text

    assert "de-identified with profile basic (registered in entry" in text
    assert "cases," in text
    broken = {path: b"no note" for path in attached if path.endswith(".note")}
    assert "registered in entry" not in read(study, broken).text
    empty = {path: seal(b'consilium/v1\n{"body":{}}\n', make.key(HUB)) for path in broken}
    assert "registered in entry" not in read(study, empty).text


def test_a_hospital_that_left_or_never_signed_is_named_as_such() -> None:
    """In the table of participation, beside its name."""
    world = Federation(sites=SITES, signed=SITES[:2])
    world.play_round()
    world.leave(SITES[0])

    text = read(world).text

    assert f"{SITES[0]}, left the study" in text
    assert f"{SITES[2]}, has not signed" in text


def test_the_limits_are_drawn_with_their_headings_and_lists() -> None:
    """The text of LIMITS.md is one text, wherever it is shown."""
    source = (
        "# Title\n\n## One\nA paragraph with `code`\n**weight**.\n- first\n- second\n  goes on\n"
        "\n## Two\n1. number\n\nEvidence drawn from a signed log. Not a legal determination.\n"
    )
    plain = [block.plain() for block in checking.limits(source).blocks]

    assert [block["is"] for block in plain] == [
        "heading", "paragraph", "bullets", "heading", "numbered",
    ]  # fmt: skip
    assert plain[1]["text"][1] == {"is": "code", "text": "code"}
    assert plain[1]["text"][3] == {"is": "strong", "text": "weight"}
    assert plain[2]["items"][1] == ["second goes on"]
    shown_limits = json.dumps([block.plain() for block in checking.limits().blocks])
    for sentence in ("a hospital", "Times are claims"):
        assert sentence in shown_limits


def test_many_hospitals_are_counted_on_top_and_named_below() -> None:
    """The first page stays one page."""
    names = tuple(f"h{number:02d}.example" for number in range(12))
    outline = read(Federation(sites=names))

    assert "Witnessed by 12 witnesses, named in the table of signatures" in outline.text
    assert "12 hospitals, named in section 2" in outline.text
    assert sum(row[0].endswith("h07.example") for row in outline.rows) >= 3
