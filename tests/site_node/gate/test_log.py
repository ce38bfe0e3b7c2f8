"""The log for machines: every line of the journal, and of each line only what names nobody."""

from __future__ import annotations

import json
from threading import Event

from site_node.federation.agent import Agent
from site_node.gate.log import FIELDS, Log
from site_node.wiring import Rooms
from tests.site_node.gate.test_agent import Quiet

SECRET = "/pacs/Example^Person/1234567.dcm"


def test_a_line_is_printed_once_and_without_what_it_tells(rooms: Rooms) -> None:
    """Sentences and paths stay in the database."""
    said: list[str] = []
    rooms.journal.write("trouble", what="mirror", said=SECRET)
    log = Log(rooms.store, said.append)
    rooms.journal.write("trouble", study="ab12", rule="site.policy", what="mirror", said=SECRET)

    log.tend(needed=False)
    log.tend(needed=True)
    log.tend(needed=True)

    (told,) = map(json.loads, said)
    assert set(told) == set(FIELDS)
    assert (told["kind"], told["study"], told["rule"]) == ("trouble", "ab12", "site.policy")
    assert "Person" not in said[0]


def test_the_agent_prints_what_came_and_what_came_last(rooms: Rooms) -> None:
    """Also what was written while everything ended."""
    said: list[str] = []

    class Ending(Quiet):
        def stop(self) -> None:
            rooms.journal.write("ended")
            super().stop()

    stop = Event()
    log = Log(rooms.store, said.append)
    Agent(rooms=rooms, supervisor=Ending(stop), say=lambda _: None, beside=[log]).run(stop)

    assert [json.loads(line)["kind"] for line in said] == ["ended"]
