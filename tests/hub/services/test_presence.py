"""Whether a home is served: said by a lock that dies with its process."""

from __future__ import annotations

import pytest

from compliance.errors import NotReady
from hub.services.presence import ABSENT, Presence


def test_a_home_that_nobody_serves_is_told_so(tmp_path):
    """Before the first start and after every end, a killed one too: the lock decides."""
    presence = Presence(tmp_path)
    assert presence.state() == ABSENT

    with presence.hold():
        presence.tell("up")
        assert Presence(tmp_path).state() == "up"

    assert presence.state() == ABSENT


def test_two_processes_never_serve_one_home(tmp_path):
    """The second is told who is in the way; the first is not disturbed."""
    with Presence(tmp_path).hold():
        with pytest.raises(NotReady, match="another process"), Presence(tmp_path).hold():
            pass
        assert Presence(tmp_path).state() == "starting"
