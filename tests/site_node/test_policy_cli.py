"""A broken policy at the command line: everything says which line, three commands go on."""

from __future__ import annotations

import pytest

from site_node.policy import FILE
from tests.site_node.gate.world import STUDY
from tests.site_node.shell import Site, launched


@pytest.mark.usefixtures("shelf")
def test_a_broken_policy_stops_what_could_open_data_and_nothing_else(member: Site) -> None:
    """Serving, importing and signing wait for a correct file; looking and leaving do not."""
    launched(member)
    (member.world.home / FILE).write_text("hours: [at night]\n")

    for words in (("serve",), ("approve", STUDY, "--yes"), ("show", STUDY), ("counts",)):
        code, _ = member.run(*words)
        assert code == 2
        assert "policy.yaml is not usable: hours" in member.said

    assert member.run("journal")[0] == 0
    assert member.run("journal", "--egress")[0] == 0
    assert member.run("withdraw", STUDY, "--reason", "policy")[0] == 0


def test_the_doctor_looks_at_a_broken_policy_as_at_anything_else(site: Site) -> None:
    """A row of its own, with the line that is wrong."""
    site.world.home.mkdir(mode=0o700)
    (site.world.home / FILE).write_text("hours: [at night]\n")

    code, out = site.run("doctor")

    assert code == 2
    assert "NOT policy_broken" in out
    assert "'at night' is not written like" in out


def test_a_line_looser_than_the_settings_is_one_sentence(member: Site) -> None:
    """Which line, which setting, what to do."""
    (member.world.home / FILE).write_text("min_cell: 2\n")

    code, _ = member.run("studies")

    assert code == 2
    assert "min_cell 2, which is looser than the setting (5)" in member.said
    assert "can only tighten" in member.said
