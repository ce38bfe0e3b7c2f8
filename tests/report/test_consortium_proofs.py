"""A bundle brings what the consortium's own log says about the study, with proofs."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.canonical import sha256_id
from compliance.errors import NotProven
from compliance.ledger.checkpoint import Checkpoint, sign
from compliance.ledger.cosign import cosign
from compliance.ledger.merkle import leaf_hash
from compliance.ledger.policy import policy_of_agreement
from compliance.records.types import seconds_of
from compliance.report.bundle import Material
from compliance.report.consortium import consortium_files
from compliance.report.export import make as make_bundle
from compliance.report.reading import read_log
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import COSIGNATURE
from compliance.signing.note import assemble, parse
from tests import factories as make
from tests.consortium import Consortium
from tests.report.evidence import SITES, check, failed, files_of, lied, untold, witnessed
from tests.simulator import Federation

REPORT = b'{"checks": "passed"}'


def signed(world: Consortium) -> bytes:
    """The newest checkpoint of the consortium's log, cosigned by every member."""
    size = len(world.entries)
    note = parse(sign(Checkpoint(make.CONSORTIUM, size, world.state.root(size)),
                      make.key(make.CONSORTIUM)))  # fmt: skip
    moment = int(seconds_of(world.time).timestamp()) + 60
    keys = [make.key(f"{site}/witness", COSIGNATURE) for site in world.sites]
    return assemble(note.text, [*note.lines, *(cosign(note.text, key, moment) for key in keys)])


def both(**charter: Any) -> tuple[Consortium, Federation]:
    """A consortium that registered everything, and a study that it lists."""
    union = Consortium(sites=SITES)
    union.must("recipe.registered", make.EVENTS)
    for site in SITES:
        deid = {"profile": "basic", "version": 1, "rules_sha256": make.sha("rules"),
                "report_sha256": sha256_id(REPORT)}  # fmt: skip
        version = make.sha(f"{site} version 1")
        union.must("dataset.registered", f"{site}/node", version=version, deid=deid)
    study = Federation(sites=SITES, consortium=union.state.agreement_id, **charter).play_round()
    first = "sha256:" + leaf_hash(study.entries[0]).hex()
    listed = {"charter": study.state.charter_id, "origin": make.ORIGIN, "entry0": first}
    union.must("study.opened", make.EVENTS, body=listed | {"on_behalf": None})
    union.must("researcher.admitted", make.EVENTS)
    return union, study


def policy(union: Consortium) -> str:
    """Whose signatures count for the consortium's log."""
    return policy_of_agreement(union.state.agreement)


def bundle(union: Consortium, study: Federation, **more: bytes) -> dict[str, bytes]:
    """The study's bundle with its proofs."""
    log = read_log(study.entries, witnessed(study))
    files = consortium_files(log, union.entries, signed(union), policy(union))
    return files_of(study, attachments=files | more)


def test_members_recipe_datasets_and_listing_are_proven_with_the_consortiums_policy():
    """Six entries; that a researcher was admitted is not this study's matter."""
    union, study = both()
    files = bundle(union, study)

    report = check(files, study, consortium_policy=policy(union))

    assert report.exit_code == 0, report.plain()
    assert report.steps[12].detail == "6 entries of the consortium's log"
    assert len([path for path in files if path.endswith(".note") and "consortium" in path]) == 6


def test_without_the_consortiums_policy_the_proofs_are_counted_as_not_checked():
    """The last step tells of them, and nothing is claimed about them."""
    union, study = both()

    files = bundle(union, study)
    report = check(files, study)

    assert report.exit_code == 0
    told = report.steps[15].detail
    count = sum(path.startswith("data/consortium/") for path in files)
    assert f"{count} files of the consortium's log (need --consortium-policy)" in told


def test_a_policy_for_which_the_bundle_has_no_proofs_cannot_tell():
    """What was asked for cannot be answered."""
    union, study = both()

    report = check(files_of(study), study, consortium_policy=policy(union))

    assert report.exit_code == 2
    assert list(untold(report)) == [13]


def test_what_is_not_proven_is_named():
    """A recipe and a hospital's dataset that nobody registered."""
    union = Consortium(sites=SITES)
    study = Federation(sites=SITES, consortium=union.state.agreement_id).play_round()

    report = check(bundle(union, study), study,
                   consortium_policy=policy(union))  # fmt: skip

    assert "no proof here of: recipe cxr 1" in report.steps[12].detail
    assert "the study" in report.steps[12].detail


LIES = {
    "another agreement": ("0.note", lambda data: data.replace(b"four towns", b"five towns")),
    "a changed entry": ("1.note", lambda data: data.replace(b"cnn2d_small", b"cnn2d_large")),
    "a missing proof": ("1.tlog-proof", lambda _: None),
    "a proof of another place": ("2.tlog-proof", lambda data: data.replace(b"index 2", b"index 3")),
    "a checkpoint of nobody": ("checkpoint", lambda data: data.split("— east".encode())[0]),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_the_consortium_is_named(lie):
    """The exporter rebuilds every manifest; the proofs do not follow."""
    union, study = both()
    files, (name, change) = bundle(union, study), LIES[lie]
    path = f"data/consortium/{name}"

    report = check(lied(files, {path: change(files[path])}), study,
                   consortium_policy=policy(union))  # fmt: skip

    assert 13 in failed(report)


def test_a_study_of_another_consortium_is_refuted():
    """Hospitals of one agreement, a charter that names another."""
    union, _ = both()
    stranger = Federation(sites=SITES).play_round()

    report = check(bundle(union, stranger), stranger,
                   consortium_policy=policy(union))  # fmt: skip

    assert "not the one that the charter names" in failed(report)[13]


def test_a_hospital_whose_key_is_not_the_members_is_named():
    """The hub makes up a hospital's node key in a charter."""
    rows = [make.member(name) for name in SITES]
    rows[0]["node"] = make.vkey(f"{SITES[0]}/node", generation=4)
    union = Consortium(sites=SITES, members=rows)
    study = Federation(sites=SITES, consortium=union.state.agreement_id).play_round()

    report = check(bundle(union, study), study, consortium_policy=policy(union))

    assert f"the node key of {SITES[0]} is not the member's" in failed(report)[13]


def test_a_report_of_deidentification_is_the_one_that_was_registered():
    """Its hash stands in the hospital's registration, which is proven here."""
    union, study = both()
    path = f"privacy/deid/{SITES[0]}-{make.DATASET}.json"
    files = bundle(union, study, **{path: REPORT})

    good = check(files, study, consortium_policy=policy(union))
    bad = check(lied(files, {f"data/{path}": b"{}"}), study, consortium_policy=policy(union))

    assert good.exit_code == 0
    assert path in failed(bad)[13]


def test_an_entry_that_lists_another_study_under_this_charter_is_named():
    """The consortium lists a charter with another first entry than the one in the bundle."""
    union = Consortium(sites=SITES)
    study = Federation(sites=SITES, consortium=union.state.agreement_id).play_round()
    listed = {"charter": study.state.charter_id, "origin": make.ORIGIN, "entry0": make.sha("else")}
    union.must("study.opened", make.EVENTS, body=listed | {"on_behalf": None})

    report = check(bundle(union, study), study, consortium_policy=policy(union))

    assert "lists another study" in failed(report)[13]


def test_an_exporter_checks_the_consortiums_proofs_before_he_hands_them_out():
    """A study that the consortium's log lists wrongly gives no bundle."""
    union, study = both()
    log = read_log(study.entries, witnessed(study))
    files = consortium_files(log, union.entries, signed(union), policy(union))
    files["consortium/2.note"] = files["consortium/1.note"]
    material = Material(study.entries, witnessed(study), make.key(make.EVENTS), files)

    with pytest.raises(NotProven, match="hashes in the log"):
        make_bundle(material, policy_in_force(study.state), study.state.charter_id)
