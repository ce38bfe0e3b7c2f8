"""A few changed terms make a whole new charter, and nothing that cannot change is asked."""

from __future__ import annotations

import pytest

from compliance.errors import Malformed, Refused
from compliance.records.charter import CharterBody
from compliance.rules.amending import AMENDABLE, amended
from tests import factories as make

BODY = CharterBody.model_validate(make.charter())


def test_named_terms_change_and_the_others_stay() -> None:
    """A table changes field by field; the text is whole."""
    made = amended(BODY, {"max_rounds": 77, "release": {"k": 1}})

    assert made.plain() == BODY.plain() | {
        "max_rounds": 77,
        "release": BODY.release.plain() | {"k": 1},
    }


@pytest.mark.parametrize(
    "name", ["origin", "consortium", "log_key", "hub_key", "researcher", "initial_model_sha256"]
)
def test_what_cannot_change_is_named(name: str) -> None:
    """Before a hospital reads it."""
    assert name not in AMENDABLE
    with pytest.raises(Refused, match=name):
        amended(BODY, {name: "x"})


def test_a_wrong_form_is_named_and_no_change_is_no_amendment() -> None:
    """Neither reaches the hospitals."""
    with pytest.raises(Malformed, match="max_rounds"):
        amended(BODY, {"max_rounds": "many"})
    with pytest.raises(Refused, match="Nothing would change"):
        amended(BODY, {"max_rounds": BODY.max_rounds})
