"""What can be reached from outside: one port of the hub, and nothing at all of a hospital."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.demo import acts
from tests.stories.sockets import LOOPBACK, family, listening
from tests.stories.town import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A hub and two hospitals whose nodes are connected."""
    town = Town(tmp_path_factory.mktemp("perimeter"), sites=2)
    try:
        acts.open_hub(town.play)
        acts.join_hospitals(town.play)
        town.serve()
        town.until(lambda: "SuperNode ID" in town.logs(), 90)
        yield town
    finally:
        town.close()


def test_nothing_of_a_hospital_listens_beyond_loopback(town: Town) -> None:
    """Agent, SuperNode and their children: loopback or nothing."""
    for child in town.sites.values():
        sockets = listening(family(child.pid))
        assert {address for address, _ in sockets} <= set(LOOPBACK), sockets


def test_flowers_superlink_is_bound_to_loopback(town: Town) -> None:
    """Control has no login: whoever reaches that port could start runs."""
    hub = next(child for name, child in town.cast.servers() if name == "hub")
    link = [
        pid
        for pid in family(hub.pid)
        if b"flower-superlink" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]

    sockets = listening(set(link))

    assert sockets
    assert {address for address, _ in sockets} <= set(LOOPBACK)


FLOWER = [
    ("GET", "/health"),
    ("POST", "/v1/control/start-run"),
    ("POST", "/v1/control/list-runs"),
    ("POST", "/v1/runtime/push-messages"),
    ("POST", "/v1/runtime/get-nodes"),
    ("GET", "/v1/fleet/get-run"),
    ("POST", "/v1/fleet/get-run"),
    ("POST", "/v1/fleet/register-node"),
    ("POST", "/v1/fleet/%2e%2e/control/start-run"),
    ("POST", "/v1/fleet/..%2fcontrol/start-run"),
    ("POST", "//v1/control/start-run"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
]


@pytest.mark.parametrize(("method", "path"), FLOWER)
def test_the_public_port_tells_a_stranger_nothing_of_flower(
    town: Town, method: str, path: str
) -> None:
    """Not found, and not a word more, whatever is asked without a member's key."""
    trust = ssl.create_default_context(cafile=str(Path(town.play.hub) / "tls" / "ca.pem"))
    with httpx.Client(verify=trust, base_url=town.play.address) as client:
        answer = client.request(method, path, content=b"x" if method == "POST" else None)

    assert answer.status_code == 404
    assert b"flower" not in answer.content.lower()
    assert b"flwr" not in answer.content.lower()
    assert "server" not in answer.headers


def test_tls_is_verified_and_there_is_no_other_way(town: Town) -> None:
    """Without the hub's authority nobody gets a word in; plain HTTP gets none either."""
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{town.play.address}/api/v1/healthz")
    with pytest.raises(httpx.HTTPError):
        httpx.get(town.play.address.replace("https", "http") + "/api/v1/healthz")


def test_keys_and_homes_are_closed_to_others(town: Town) -> None:
    """Every key file has mode 0600, every home 0700."""
    homes = [Path(town.play.hub), *(Path(town.play.home(site)) for site in town.play.sites)]
    for home in homes:
        assert home.stat().st_mode & 0o077 == 0, home
        for path in [*home.rglob("*.key"), *home.rglob("*secret*")]:
            assert path.stat().st_mode & 0o077 == 0, path
