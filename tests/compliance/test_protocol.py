"""A hub speaks two protocols: its own and the one before; the others are told who upgrades what."""

from __future__ import annotations

import pytest

from compliance.errors import Malformed, Refused
from compliance.protocol import (
    AVAILABLE,
    HUB_OLDER,
    OLDEST,
    PROTOCOL,
    REQUIRED,
    SAME,
    UNSAID,
    check,
    fit,
    spoken,
)


@pytest.mark.parametrize("said", [OLDEST, PROTOCOL])
def test_the_newest_two_are_listened_to(said):
    """N and N-1."""
    check(said)


@pytest.mark.parametrize(
    ("said", "words"), [(OLDEST - 1, "at the site"), (PROTOCOL + 1, "consilium hub upgrade")]
)
def test_older_and_newer_ones_are_told_who_upgrades_what(said, words):
    """The sentence names the command and says that nothing is lost."""
    with pytest.raises(Refused, match=words) as refusal:
        check(said)

    assert refusal.value.rule == "request.protocol"
    assert "Nothing is lost" in str(refusal.value)


def test_no_number_is_that_of_the_releases_that_sent_none():
    """Sites of before the number was sent speak the first protocol."""
    assert spoken(None) == UNSAID == 1
    assert spoken("2") == 2


@pytest.mark.parametrize("text", ["", "two", "-1", "2.0", "٢", "99999", "2\n"])
def test_what_is_no_number_is_malformed(text):
    """A header is a stranger's bytes."""
    with pytest.raises(Malformed):
        spoken(text)


@pytest.mark.parametrize(
    ("site", "hub", "found"),
    [(2, 2, SAME), (2, 3, AVAILABLE), (2, 4, REQUIRED), (1, 4, REQUIRED), (3, 2, HUB_OLDER)],
)
def test_a_site_knows_whether_it_needs_an_update(site, hub, found):
    """Available while the hub still listens, required when it does not."""
    assert fit(site, hub) == found
