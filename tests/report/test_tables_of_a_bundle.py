"""Tables say what happened also when a study took a turn: amended, aborted, still open."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from compliance.errors import Malformed, NotProven, NotReady
from compliance.ledger.checkpoint import Checkpoint
from compliance.ledger.policy import Policy
from compliance.report.attached import document_hashes
from compliance.report.bundle import Material
from compliance.report.compare import Evidence, compare, log_keys
from compliance.report.export import make as make_bundle
from compliance.report.export import others_left_out
from compliance.report.log import Log
from compliance.report.reading import log_of, read_entries, read_log
from compliance.report.receipt import check_receipt, write_receipt
from compliance.report.registered import read_registered, reports_of
from compliance.report.request import parse_request
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import COSIGNATURE
from tests import factories as make
from tests.report.evidence import SITES, check, example, files_of, told, witnessed
from tests.simulator import HUB, Federation

EAST, NORTH, SOUTH = SITES


def table(files: dict[str, bytes], path: str) -> list[dict[str, str]]:
    """Rows of a table of the bundle."""
    return list(csv.DictReader(io.StringIO(files[f"data/{path}"].decode())))


def amended(world: Federation, *sites: str, **changes: Any) -> None:
    """The researcher and these hospitals put another charter in force."""
    body = make.charter(sites, **changes)
    said = {"charter": body, "previous": world.state.version_id}
    names = (make.RESEARCHER, *(f"{site}/institution" for site in sites[:2]))
    world.must("charter.amended", said, make.RESEARCHER, signers=names)


@pytest.fixture(scope="module")
def turned() -> tuple[Federation, dict[str, bytes]]:
    """A round, an amendment without the third hospital, an aborted round, an open one."""
    world = Federation(sites=SITES).play_round()
    amended(world, EAST, NORTH, quorum={"k": 2, "witnesses": [EAST, NORTH], "external": []})
    world.opened()
    world.must("round.aborted", {"round": 2, "reason": "operator", "on_behalf": None}, HUB)
    world.opened().submitted(EAST)
    return world, files_of(world)


def test_an_amendment_is_signed_decided_and_ends_the_keys_of_who_is_no_longer_in(turned):
    """Three tables tell one story about entry 5."""
    world, files = turned
    at = str(next(place for place in range(9) if b"charter.amended" in world.text_of(place)))

    keys = {row["key"]: row for row in table(files, "governance/keys.csv")}
    signed = [row for row in table(files, "governance/signatures.csv") if row["entry"] == at]
    decided = [row for row in table(files, "governance/decisions.csv") if row["entry"] == at]

    assert check(files, world).exit_code == 0
    assert (keys[f"{SOUTH}/node"]["until_entry"], keys[f"{SOUTH}/node"]["ended_by"]) == (
        at, "amendment",
    )  # fmt: skip
    assert keys[f"{NORTH}/node"]["until_entry"] == ""
    assert {row["meaning"] for row in signed} == {"approved the amendment"}
    assert len(signed) == 3
    assert decided[0]["subject"] == world.state.version_id


def test_invited_used_and_aborted_or_open_rounds_are_told(turned):
    """Nobody is dropped in silence, and no row is missing."""
    _, files = turned

    rows = [(row["round"], row["site"], row["outcome"], row["reason"])
            for row in table(files, "participation.csv")]  # fmt: skip

    assert rows == [
        ("1", EAST, "used", ""),
        ("1", NORTH, "used", ""),
        ("1", SOUTH, "used", ""),
        ("2", EAST, "aborted", "operator"),
        ("2", NORTH, "aborted", "operator"),
        ("3", EAST, "open", ""),
        ("3", NORTH, "open", ""),
    ]


def test_left_out_hospitals_stand_with_their_reason():
    """Excluded by the hub, and missing by their own doing."""
    world = Federation(sites=make.NAMES[:4]).opened().submitted(EAST, NORTH, SOUTH)
    used = {site: world.state.running.submitted[site].update_sha256 for site in (EAST, NORTH)}
    weights = {EAST: "0.5", NORTH: "0.5"}
    world.must("round.closed", world.closing(used=used, weights=weights,
               excluded={SOUTH: "norm_bound"}), HUB)  # fmt: skip

    rows = {row["site"]: row for row in table(files_of(world), "participation.csv")}

    assert (rows[SOUTH]["outcome"], rows[SOUTH]["reason"]) == ("excluded", "norm_bound")
    assert (rows[make.NAMES[3]]["outcome"], rows[make.NAMES[3]]["reason"]) == (
        "missing", "no_answer",
    )  # fmt: skip
    assert rows[EAST]["weight"] == "0.5"


def test_a_cap_that_an_amendment_did_not_raise_for_everybody_stays_low():
    """A hospital that lowered its cap and did not sign the new charter keeps the lower one."""
    world = Federation(sites=SITES)
    world.must("site.limited", {"dataset": make.DATASET, "epsilon": "1.0"}, f"{SOUTH}/node")
    rows = [make.dataset_row(site, epsilon="1.0" if site == SOUTH else "2.5") for site in SITES]
    amended(world, *SITES, datasets=rows)
    world.must("site.joined", {"charter": world.state.version_id}, f"{SOUTH}/institution")
    world.play_round()

    caps = {
        row["site"]: row["epsilon_cap"] for row in table(files_of(world), "privacy/dp_ledger.csv")
    }

    assert caps == {EAST: "2.5", NORTH: "2.5", SOUTH: "1.0"}


def test_a_late_signature_says_what_it_permits():
    """`site.joined` means the same as a signature under the charter."""
    world = Federation(sites=SITES, signed=(EAST, NORTH))
    world.must("site.joined", {"charter": world.state.version_id}, f"{SOUTH}/institution")

    rows = table(files_of(world), "governance/signatures.csv")
    joined = [row["meaning"] for row in rows if row["entry"] == "1"]

    assert joined == ["approved the protocol and permits use of cxr until 2027-11-22T09:00:00Z"]


def test_a_study_without_differential_privacy_says_so():
    """The ledger of epsilon is empty, and the inputs for an assessment say why."""
    rows = [make.dataset_row(site, epsilon=None) for site in SITES]
    files = files_of(Federation(sites=SITES, dp=None, datasets=rows).play_round())

    told_of = json.loads(files["data/privacy/dpia_inputs.json"])["b_necessity"]["minimisation"]

    assert table(files, "privacy/dp_ledger.csv") == []
    assert told_of[-1] == "no differential privacy was agreed"


def test_every_document_of_a_charter_is_known_by_its_hash():
    """Ethics vote, agreements, assessments, permits and data access decisions."""
    permit = {"ref": "Permit 7", "sha256": make.sha("permit"), "expires": "2028-01-01T00:00:00Z"}
    legal = make.charter()["legal"]
    legal["sites"][0] = make.legal_row(EAST, permit=permit, dpia={
        "required": False, "ref": None, "sha256": None})  # fmt: skip
    world = Federation(sites=SITES, legal=legal)

    known = document_hashes(read_log(world.entries, witnessed(world)))

    assert known[make.sha("permit")] == "Permit 7"
    assert known[make.sha("paper")] == "REC 1/2026"
    assert known[make.sha("dpa")] == "DPA 1"


def test_what_other_hospitals_wrote_can_be_left_out():
    """A hospital exports its own description, not its neighbour's."""
    files = {f"data/{EAST}-cxr.croissant.json": b"e", f"data/{NORTH}-cxr.croissant.json": b"n",
             "workflow/app.fab": b"f"}  # fmt: skip

    assert sorted(others_left_out(files, EAST)) == [f"data/{EAST}-cxr.croissant.json",
                                                    "workflow/app.fab"]  # fmt: skip
    assert others_left_out(files, None) == files


def test_a_bundle_that_does_not_verify_is_not_handed_out():
    """The exporter's key is nobody's: the step is named, and no file is made."""
    world = Federation(sites=SITES)
    material = Material(world.entries, witnessed(world), make.key("stranger/node"))

    with pytest.raises(NotProven, match="who exported"):
        make_bundle(material, policy_in_force(world.state), world.state.charter_id)


def test_a_log_is_read_once_or_by_itself_and_gives_the_same():
    """Who has no reading at hand gets his notes read here; without witnesses no time is claimed."""
    world = told()
    reading = read_entries(world.entries)
    log = log_of(reading, witnessed(world))
    alone = Log(world.entries, log.checkpoint_note, log.checkpoint, {}, log.state)

    assert alone.events == log.events
    assert alone.as_of == log.events[-1].time
    assert alone.witnessed == ""
    assert log.witnessed == "2026-11-22T09:21:01Z"
    with pytest.raises(NotProven, match="no entry"):
        read_entries([]).whole()
    with pytest.raises(NotProven, match="root"):
        read_log(world.entries[:5], witnessed(world))


def test_a_receipt_needs_a_note_and_an_export():
    """A proof without its entry, or of another entry, is no receipt."""
    world, files = example()
    log = read_log(world.entries, witnessed(world))
    policy = Policy.parse(policy_in_force(world.state))
    manifest = files["manifest-sha512.txt"]
    path = log.tree.inclusion(2)

    other = write_receipt(world.entries[2], 2, path, log.checkpoint_note)

    with pytest.raises(NotProven, match="no export"):
        check_receipt(other, log, manifest, policy)
    with pytest.raises(NotProven, match="no note"):
        check_receipt(files["data/log/proofs/0.tlog-proof"], log, manifest, policy)


def test_evidence_about_two_logs_or_without_a_charter_cannot_be_compared():
    """Neither yes nor no."""
    world, _ = example()
    one = Evidence("a", witnessed(world), Checkpoint(make.ORIGIN, 21, b"\0" * 32))
    other = Evidence("b", witnessed(world), Checkpoint("hub.example/study/ff", 21, b"\0" * 32))

    with pytest.raises(NotReady, match="two logs"):
        compare(one, other)
    assert log_keys([b"junk"]) == []


def test_what_is_no_statement_of_the_consortium_is_named():
    """A note of another kind in that folder; its hashes count for nothing."""
    _, files = example()

    with pytest.raises(Malformed, match="entry 3"):
        read_registered(3, files["data/log/checkpoint"])
    assert reports_of({"data/consortium/3.note": b"junk"}) == {}


def test_a_wrong_word_of_an_export_is_answered_with_help():
    """An unknown purpose, a size that is no number."""
    asked = parse_request(["x", "--out", "y", "--as-of", "7", "--without-names", "--site", EAST])

    assert (asked.as_of, asked.names, asked.site) == (7, False, EAST)
    for words in (["x", "--out", "y", "--purpose", "fun"], ["x", "--out", "y", "--as-of", "z"]):
        with pytest.raises(NotReady, match="--help"):
            parse_request(words)


def test_a_witness_from_outside_stands_in_the_table_under_its_own_key():
    """Any C2SP witness may be added; it is no hospital."""
    outside = make.key("watch.example/w1", COSIGNATURE)
    quorum = {"k": 2, "witnesses": list(SITES[:2]),
              "external": [{"name": "watch", "vkey": str(outside.verifier)}]}  # fmt: skip
    world = Federation(sites=SITES, quorum=quorum)
    keys = [make.key(f"{EAST}/witness", COSIGNATURE), outside]
    files = files_of(world, checkpoint_note=witnessed(world, witnesses=keys))

    rows = table(files, "governance/signatures.csv")

    assert check(files, world).exit_code == 0
    assert [row["key"] for row in rows if row["meaning"] == "witnessed"] == [
        f"{EAST}/witness", "watch.example/w1",
    ]  # fmt: skip
