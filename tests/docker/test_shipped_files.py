"""What hospital IT installs: closed by default, and true to the program it starts."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import typer.main

from compliance.command import GROUPS
from dashboard.cli import app as dashboard_app
from dashboard.cli import study as study_app
from dashboard.settings import Settings as DashboardSettings
from hub.cli import app as hub_app
from hub.settings import Settings as HubSettings
from site_node.cli import app as site_app
from site_node.settings import Settings as SiteSettings
from tests.docker import shipped

APPS = {"hub": hub_app, "site": site_app, "dashboard": dashboard_app, "study": study_app}
SETTINGS = {"HUB": HubSettings, "SITE": SiteSettings, "DASHBOARD": DashboardSettings}
NO_SETTINGS = {"CONSILIUM_HOME", "CONSILIUM_VERSION"}
"""The home, read by every program, and the tag of the images, read by compose alone."""

SERVICES = shipped.services()
FORBIDDEN = {
    "hub": {"torch", "monai", "pydicom", "streamlit"},
    "site": {"hub", "dashboard", "streamlit"},
    "dashboard": {"hub", "site_node", "torch", "flwr", "sqlalchemy"},
}
PACKAGES = {
    "hub": {"compliance", "site_node", "hub", "dashboard"},
    "site": {"compliance", "site_node"},
    "dashboard": {"compliance", "dashboard"},
}
HARDENING = {
    "User": "consilium",
    "StateDirectoryMode": "0700",
    "Restart": "on-failure",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "UMask": "0077",
}


def leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command that these words reach, and the words that are left for it."""
    group, *rest = words
    command: Any = typer.main.get_command(APPS[group])
    while hasattr(command, "commands"):
        assert rest, f"{group} needs a command"
        assert rest[0] in command.commands, f"there is no command {group} {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_stays_closed(name: str) -> None:
    """It writes nowhere but in its folders, has no rights to lose, and cannot eat the machine."""
    service = SERVICES[name]

    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["tmpfs"]
    assert not {"privileged", "devices", "network_mode", "pid", "ipc"} & service.keys()
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_is_given_the_container_engine(name: str) -> None:
    """Whoever holds the engine's socket holds the host."""
    for volume in SERVICES[name]["volumes"]:
        assert ".sock" not in volume
        assert not volume.startswith(("/:", "/var", "/run", "/etc"))


def test_443_is_the_only_published_port() -> None:
    """At the hub one door, at the hospital none."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"caddy": ["443:8443"]}


def test_hub_dashboard_and_database_reach_only_each_other() -> None:
    """The back-end network has no way out, and only the proxy stands on both sides."""
    plain = shipped.compose("hub")

    assert plain["networks"]["backend"] == {"internal": True}
    outside = [
        name for name, service in plain["services"].items() if "outside" in service["networks"]
    ]
    assert outside == ["caddy"]


def test_no_password_stands_in_a_compose_file() -> None:
    """Secrets are files of the host; an environment can be read by everybody who may inspect."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE")
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value))


def test_the_dicom_folder_is_only_read() -> None:
    """Nothing of ours may change what the hospital's archive gave."""
    volumes = SERVICES["site"]["volumes"]

    assert next(volume for volume in volumes if "DICOM" in volume).endswith(":ro")


def test_every_shipped_command_line_names_a_command_that_exists() -> None:
    """A page or a unit that asks for an option of yesterday fails at night, at the hospital."""
    seen = 0
    for place, words in shipped.command_lines():
        if words[0] == "audit" or words[1:] == ["--help"]:
            continue
        command, rest = leaf(words)
        known = {option for parameter in command.params for option in parameter.opts}
        for word in rest:
            option = word.split("=")[0]
            assert not word.startswith("--") or option in known, f"{place}: {' '.join(words)}"
        seen += 1
    assert seen >= 15


def test_every_variable_that_is_named_is_a_setting() -> None:
    """A misspelt variable would be refused at the start."""
    for place, name in shipped.variables():
        if name in NO_SETTINGS:
            continue
        _, program, field = name.split("_", 2)
        assert field.lower() in SETTINGS[program].model_fields, f"{place}: {name}"


@pytest.mark.parametrize("program", shipped.IMAGES)
def test_an_image_is_built_from_what_is_here_and_from_locked_files(program: str) -> None:
    """Every source and lock exists, and nothing is installed without its hash."""
    text = shipped.dockerfile(program)
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*$", text, re.MULTILINE)]

    for source in [source for sources in copied for source in sources]:
        assert (shipped.ROOT / source).exists(), source
    for line in re.findall(r"pip install.*", text):
        assert "--no-deps --require-hashes -r requirements/" in line or "--no-index" in line
    for lock in re.findall(r"requirements/\S+\.txt", text):
        assert (shipped.ROOT / lock).is_file(), lock
    assert f"requirements/{program}.lock.txt" in text
    assert "apt" not in text


@pytest.mark.parametrize("program", shipped.IMAGES)
def test_an_image_holds_its_own_program_and_refuses_the_others(program: str) -> None:
    """The build ends when a forbidden package can be found in the image."""
    text = shipped.dockerfile(program)
    copied = set(re.findall(r"^COPY (\w+) \w+$", text, re.MULTILINE))
    (checked,) = re.findall(r"absent\.py ([\w ]+?)\s*&&", text)

    assert copied - {"requirements"} == PACKAGES[program]
    assert set(checked.split()) >= FORBIDDEN[program]


def test_a_build_ends_when_a_forbidden_package_is_there() -> None:
    """The check of the builds tells a package that is here from one that is not."""
    script = [sys.executable, "-P", str(shipped.DOCKER / "absent.py")]

    bad = subprocess.run(
        [*script, "nowhere_at_all", "json"], capture_output=True, text=True, check=False
    )
    good = subprocess.run([*script, "nowhere_at_all"], capture_output=True, text=True, check=False)

    assert (bad.returncode, bad.stderr.strip()) == (1, "This image must not hold: json.")
    assert good.returncode == 0


@pytest.mark.parametrize("program", shipped.IMAGES)
def test_an_image_runs_as_a_user_without_rights_and_says_whether_it_is_well(program: str) -> None:
    """Two stages, user 10001, no compiled files written, a health check."""
    build, final = shipped.dockerfile(program).split("\nFROM ")[1:]

    assert build.startswith("${BASE} AS build")
    assert "USER 10001:10001" in final
    assert "PYTHONDONTWRITEBYTECODE=1" in final
    assert "HEALTHCHECK" in final
    assert 'ENTRYPOINT ["consilium"]' in final
    assert program in GROUPS


@pytest.mark.parametrize("name", ["hub", "site"])
def test_a_unit_has_every_line_that_keeps_it_in_its_place(name: str) -> None:
    """Without one of these lines a broken service could reach more than its own folder."""
    lines = shipped.unit(name)

    for key, value in HARDENING.items():
        assert lines[key] == [value], key
    assert lines["StateDirectory"] == [f"consilium-{name}"]
    assert lines["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert lines["MemoryMax"]
    assert lines["TasksMax"]
    assert "MemoryDenyWriteExecute" not in lines


def test_the_sites_unit_only_reads_the_dicom_folder() -> None:
    """The archive's export stays as it came."""
    assert shipped.unit("site")["ReadOnlyPaths"] == ["-/srv/dicom"]


def test_the_proxy_drops_forged_identities_and_keeps_the_inner_pages_inside() -> None:
    """What only the gate may say is removed at the door; metrics and agent are not found."""
    text = (shipped.DOCKER / "caddy" / "Caddyfile").read_text()
    (inside,) = re.findall(r"@inside path (.*)", text)

    assert "request_header -X-Consilium-*" in text
    assert {"/metrics", "/_stcore/metrics", "/_stcore/agent"} <= set(inside.split())
    assert re.search(r"handle @inside \{\s*respond 404", text)
    assert text.index("handle @inside") < text.index("handle /api/*")
    assert "insecure" not in text
