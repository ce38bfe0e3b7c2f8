"""The acts of the demo, in order: hub, hospitals, study, evidence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from os import cpu_count
from pathlib import Path
from typing import Any, TypeVar

import yaml

from compliance.errors import NotReady
from hub.demo.processes import Cast, CommandFailed, free_port

T = TypeVar("T")

HOSPITALS = ("north", "south", "west", "east", "lake", "hill", "coast", "isle")
DATASET = "chest"


@dataclass
class Play:
    """What the acts hand on to each other."""

    state: Path
    cast: Cast
    sites: list[str]
    rounds: int
    hub_port: int = field(default_factory=free_port)
    dashboard_port: int = field(default_factory=free_port)
    links: dict[str, str] = field(default_factory=dict)
    study: str = ""
    bundle: Path | None = None
    policy: Path | None = None
    patients: int = 900
    patience: float = 90.0

    @property
    def hub(self) -> str:
        """The hub's home."""
        return str(self.state / "hub")

    @property
    def researcher(self) -> str:
        """The researcher's home."""
        return str(self.state / "researcher")

    @property
    def address(self) -> str:
        """Where the hub answers."""
        return f"https://127.0.0.1:{self.hub_port}"

    def home(self, site: str) -> str:
        """The home of one hospital."""
        return str(self.state / site)


def open_hub(play: Play) -> None:
    """Make the hub's keys, authority and database, then start it."""
    made = play.cast.ask(
        *("hub", "init", "--home", play.hub, "--name", "hub.example", "--address", play.address),
        *("--dashboard-url", f"http://127.0.0.1:{play.dashboard_port}"),
    )
    play.links["admin"] = made["link"]
    play.cast.ask("hub", "sign-bundle", "--home", play.hub, "--name", "demo-signer")
    serve_hub(play)


def serve_hub(play: Play) -> None:
    """Start the hub and wait until it is ready.

    Raises:
        NotReady: it ended, or is not ready in time.
    """
    play.cast.serve("hub", "hub", "serve", "--home", play.hub)
    deadline = time.monotonic() + play.patience
    while True:
        play.cast.check()
        try:
            play.cast.run("hub", "status", "--home", play.hub)
        except CommandFailed as error:  # 2 until it is ready
            if time.monotonic() > deadline:
                said = f"The hub did not get ready in {play.patience:.0f} s: {error.finding}"
                raise NotReady(said, f"See {play.state}/logs/hub.log.") from error
            time.sleep(0.5)
        else:
            return


def open_dashboard(play: Play) -> None:
    """Start the dashboard behind its gate on loopback."""
    play.cast.serve(
        "dashboard",
        "dashboard",
        "serve",
        "--home",
        str(play.state / "dashboard"),
        "--hub-url",
        play.address,
        "--ca-file",
        str(Path(play.hub) / "tls" / "ca.pem"),
        "--port",
        str(play.dashboard_port),
    )


def join_hospitals(play: Play) -> None:
    """Invite each hospital; each makes its own keys and joins."""

    def join(site: str) -> None:
        name, title = f"{site}.example", f"{site.capitalize()} Hospital"
        code = play.cast.ask("hub", "invite", name, "--title", title, "--home", play.hub)["code"]
        play.cast.ask("site", "join", code, "--home", play.home(site), "--no-passphrase")
        with (Path(play.home(site)) / "site.toml").open("a", encoding="utf-8") as file:
            file.write("answer_counts = true\n")  # these hospitals have decided it

    side_by_side(join, play.sites)


def found(play: Play) -> str:
    """Lay the agreement before the hospitals; each reads and signs it. Returns its id."""
    motion = play.cast.ask("hub", "found", "--home", play.hub, "--now")["id"]
    side_by_side(
        lambda site: play.cast.ask("site", "sign", motion, "--home", play.home(site), "--yes"),
        play.sites,
    )
    return str(motion)


def side_by_side(act: Callable[[str], T], sites: Sequence[str]) -> list[T]:
    """Let hospitals act at the same time, as many as there are cores; results in their order."""
    with ThreadPoolExecutor(max_workers=max(2, cpu_count() or 1)) as pool:
        return list(pool.map(act, sites))


def import_images(play: Play, folders: dict[str, Path], recipe: dict[str, Any]) -> dict[str, Any]:
    """Import each hospital's own DICOM folder into its curated dataset."""
    recipe_file = play.state / "import-recipe.yaml"
    recipe_file.write_text(yaml.safe_dump(recipe))

    def take_in(site: str) -> Any:
        folder = folders[site]
        return play.cast.ask(
            *("site", "import", str(folder), "--dataset", DATASET),
            *("--labels", str(folder / "labels.csv"), "--recipe", str(recipe_file)),
            *("--home", play.home(site)),
        )

    return dict(zip(play.sites, side_by_side(take_in, play.sites), strict=True))


def start_hospitals(play: Play) -> None:
    """Start each hospital's node; it dials out and opens no port."""
    for site in play.sites:
        play.cast.serve(site, "site", "serve", "--home", play.home(site))


def enrol_researcher(play: Play) -> None:
    """Give the researcher an account by its one-time code, and sign in."""
    for role in ("researcher", "auditor"):
        name = f"{role}-demo"
        made = play.cast.ask("hub", "user", "add", name, "--role", role, "--home", play.hub)
        play.links[role] = made["link"]
    for site in play.sites:
        made = play.cast.ask(
            *("hub", "user", "add", f"steward-{site}", "--role", "steward"),
            *("--site", f"{site}.example", "--home", play.hub),
        )
        play.links[f"steward of {site}"] = made["link"]
    made = play.cast.ask(
        "hub", "user", "add", "demo-driver", "--role", "researcher", "--home", play.hub
    )
    secret = play.state / "researcher-password"
    secret.touch(mode=0o600)
    secret.write_text(made["code"][:32] + "\n")
    play.cast.ask(
        *("study", "login", "--address", play.address, "--home", play.researcher),
        *("--ca", str(Path(play.hub) / "tls" / "ca.pem"), "demo-driver"),
        *("--enrol", made["code"], "--password-file", str(secret)),
    )


def ask_how_many(play: Play) -> None:
    """The researcher asks every hospital; the answers wait in the dashboard."""
    play.cast.ask("study", "ask", "--home", play.researcher)


def charter_of(play: Play, changes: dict[str, Any]) -> dict[str, Any]:
    """The draft that the researcher writes: who, what, on which terms."""
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the demo is its own wiring
    far = (now + timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ")
    sha = "sha256:" + "00" * 32
    reference = {"ref": "demo", "sha256": sha, "expires": far}
    legal_sites = [
        {
            "site": f"{site}.example",
            "controller": f"{site.capitalize()} Hospital",
            "lawful_basis": "art6_1_e",
            "special_category_basis": "art9_2_j",
            "ethics": {"status": "approved", **reference},
            "dua": reference,
            "dpia": {"required": False, "ref": None, "sha256": None},
            "permit": None,
            "objections_checked": None,
            "us_basis": None,
        }
        for site in sorted(play.sites)
    ]
    return {
        "title": "Opacity on chest images",
        "summary": "The demonstration study: patients who never lived, or a public data set.",
        "recipe": {"id": "cnn2d-small", "changes": changes},
        "datasets": [{"site": f"{site}.example", "id": DATASET} for site in sorted(play.sites)],
        "max_rounds": play.rounds,
        "round_seconds": 600,
        "min_sites": 2,
        "min_examples": 20,
        "min_cell": 5,
        "purpose": {
            "use": "HMB",
            "disease": [],
            "for_profit": False,
            "commercial": False,
            "flags": [],
        },
        "legal": {
            "joint_controllers": False,
            "processor": None,
            "processing_agreement": None,
            "purposes": ["scientific_research"],
            "transfers": [],
            "sites": legal_sites,
        },
    }


def propose(play: Play, draft: dict[str, Any]) -> None:
    """Propose the charter."""
    path = play.state / "charter.yaml"
    path.write_text(yaml.safe_dump(draft, sort_keys=False))
    made = play.cast.ask("study", "propose", str(path), "--home", play.researcher)
    play.study = made["study"]


def sign(play: Play) -> None:
    """Let every hospital read the charter and sign it with its own key."""
    side_by_side(
        lambda site: play.cast.ask(
            "site", "approve", play.study, "--home", play.home(site), "--yes"
        ),
        play.sites,
    )


def release(play: Play) -> None:
    """Let every hospital look at the newest model and agree; then the researcher releases it."""
    side_by_side(
        lambda site: play.cast.ask(
            "site", "release", play.study, "--home", play.home(site), "--yes"
        ),
        play.sites,
    )
    play.cast.ask("study", "release", play.study, "--home", play.researcher)


def export_and_verify(play: Play) -> dict[str, Any]:
    """Export the bundle at the hub; verify it with the policy that a hospital kept."""
    out = play.state / "evidence"
    policy = play.cast.run(
        "site", "show", play.study, "--policy", "--home", play.home(play.sites[0])
    )
    play.policy = play.state / "policy.txt"
    play.policy.write_text(policy)
    made = play.cast.ask("audit", "export", play.study, "--out", str(out), "--home", play.hub)
    play.bundle = Path(made["bundle"])
    done = play.cast.run(
        "audit", "verify", str(play.bundle), "--policy", str(play.policy), "--json"
    )
    report: dict[str, Any] = json.loads(done)
    return report
