"""The site's settings: read once, frozen, every field with its sentence.

Order: command line, environment `CONSILIUM_SITE_*`, `<home>/site.toml`, default.
An unknown name is refused wherever it stands: a misspelt floor would be no floor.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from compliance.errors import NotReady
from site_node import policy as own_policy
from site_node.policy import NOTHING_SAID, SitePolicy, read_policy

PREFIX = "CONSILIUM_SITE_"
FILE = "site.toml"
LOOPBACK = ("https://", "http://127.0.0.1:", "http://localhost:", "http://[::1]:")

TIGHTENED = (
    *("families", "min_examples", "min_cell", "answer_counts"),
    *("max_rounds", "threads", "memory_mb", "gpus"),
)
"""Settings that a policy may tighten; whoever reads them meets the stricter value."""

Names = Annotated[tuple[str, ...], NoDecode]
AE_TITLE = r"^[A-Za-z0-9_.\-]{1,16}$"


class Settings(BaseSettings):
    """All that a site's programs read from outside; the rest is in the home's database."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(description="Folder that holds everything of this site, mode 0700.")
    site: str | None = Field(None, description="Name of this site; written by `site join`.")
    title: str = Field("", description="Name for people, such as North Hospital.")
    hub_address: str | None = Field(None, description="Address of the hub, https only.")
    hub_name: str | None = Field(None, description="Name of the hub, first part of every log.")
    ca_file: Path | None = Field(
        None, description="Certificates that vouch for the hub; default `<home>/ca.pem`."
    )
    consortium: str | None = Field(None, description="Id of the consortium's agreement.")
    events_vkey: str | None = Field(None, description="Public key by which the hub signs events.")
    fleet_host: str | None = Field(None, description="Host of Flower's fleet gateway.")
    fleet_port: int = Field(443, ge=1, le=65535, description="Port of Flower's fleet gateway.")
    bundle_sha256: str | None = Field(
        None, description="Hash of the one Flower bundle that this site trusts."
    )
    min_examples: int = Field(
        1, ge=1, description="Own floor: fewest training cases an update may rest on."
    )
    min_cell: int = Field(5, ge=1, description="Own floor: smallest count a metric may show.")
    answer_counts: bool = Field(
        default=False,
        description="Answer the consortium's questions how many patients are here, in steps of "
        "min_cell; off until the hospital decides it.",
    )
    families: Names = Field(
        (), description="Recipe families allowed here, comma separated; empty allows all installed."
    )
    max_rounds: int = Field(1000, ge=1, description="Most rounds this site agrees to per study.")
    duo: Names = Field(
        ("GRU",), description="Terms of use (DUO) under which this site registers its datasets."
    )
    disease: Names = Field((), description="Disease codes (MONDO, DOID) of the datasets.")
    poll_seconds: float = Field(
        2.0, gt=0, le=300, description="Seconds between two looks at the studies' logs."
    )
    heartbeat_seconds: float = Field(
        15.0, gt=0, le=600, description="Seconds between two signs of life to the hub."
    )
    threads: int = Field(1, ge=1, le=64, description="Processor threads for training.")
    memory_mb: int = Field(0, ge=0, description="Memory limit of training in MB; 0 sets none.")
    gpus: int = Field(
        0, ge=0, le=16, description="Graphics processors that training may see; 0 hides all."
    )
    scp_allow: Names = Field(
        (),
        description="Who may send images by C-STORE: AETITLE@address, comma separated; "
        "empty receives nothing.",
    )
    scp_bind: str = Field("127.0.0.1", description="Address on which images are received.")
    scp_port: int = Field(11112, ge=1, le=65535, description="Port on which images are received.")
    scp_aet: str = Field(
        "CONSILIUM",
        pattern=AE_TITLE,
        description="AE title of this site, when it receives and when it asks the PACS.",
    )
    scp_certificate: Path | None = Field(
        None, description="Certificate (PEM) with which images are received by TLS."
    )
    scp_key: Path | None = Field(None, description="Private key (PEM) of scp_certificate.")
    scp_client_ca: Path | None = Field(
        None, description="Certificates that vouch for senders; set, a sender must show one."
    )
    scp_plain_lan: bool = Field(
        default=False,
        description="Receive beyond this machine without TLS: anybody on the way can read.",
    )
    scp_disk_floor_gb: int = Field(
        5, ge=0, description="Free disk, in GB, below which senders are told to come back later."
    )
    pacs_url: str | None = Field(
        None, description="DICOMweb address of the hospital's PACS, such as https://pacs/dicom-web."
    )
    pacs_host: str | None = Field(
        None, description="Address of the PACS for DICOM (C-FIND, C-GET, C-MOVE)."
    )
    pacs_port: int = Field(104, ge=1, le=65535, description="Port of the PACS for DICOM.")
    pacs_aet: str | None = Field(None, pattern=AE_TITLE, description="AE title of the PACS.")
    pacs_retrieve: Literal["get", "move"] = Field(
        "get", description="How DICOM images are fetched: `get`, or `move` to our own receiver."
    )
    pacs_user: str | None = Field(None, description="User name for the PACS's DICOMweb.")
    pacs_password_file: Path | None = Field(
        None, description="File with the password of pacs_user, mode 0600."
    )
    pacs_ca_file: Path | None = Field(
        None, description="Certificates that vouch for the PACS; default those of this machine."
    )
    pacs_plain_lan: bool = Field(
        default=False,
        description="Ask the PACS by http beyond this machine: anybody on the way can read.",
    )
    text_detection: Literal["off", "on"] = Field(
        "off",
        description="Look for text drawn into pictures and blank it, in imports and copies; "
        "needs the extra `ocr`.",
    )
    quarantine_days: int = Field(
        30, ge=0, description="Days after which a received file in quarantine is deleted."
    )
    quarantine_gb: int = Field(
        10, ge=0, description="Most GB of received files in quarantine; the oldest go first."
    )

    _policy: SitePolicy = PrivateAttr(default=NOTHING_SAID)
    _unusable: str = PrivateAttr(default="")

    @field_validator("families", "duo", "disease", "scp_allow", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _no_open_door(self) -> Settings:
        if self.hub_address and not self.hub_address.startswith(LOOPBACK):
            raise ValueError("hub_address must begin with https:// (http only on loopback)")
        plain_pacs = self.pacs_plain_lan and str(self.pacs_url).startswith("http://")
        if self.pacs_url and not (plain_pacs or self.pacs_url.startswith(LOOPBACK)):
            raise ValueError(
                "pacs_url must begin with https:// (http only on loopback, or with pacs_plain_lan)"
            )
        return self

    @model_validator(mode="after")
    def _receive_safely(self) -> Settings:
        for pair in self.scp_allow:
            title, _, address = pair.partition("@")
            if not re.fullmatch(AE_TITLE, title) or not _is_address(address):
                raise ValueError(
                    f"scp_allow: {pair!r} is not AETITLE@address, such as CT1@10.0.0.5"
                )
        if bool(self.scp_certificate) != bool(self.scp_key):
            raise ValueError("scp_certificate and scp_key belong together: set both")
        if self.scp_client_ca and not self.scp_certificate:
            raise ValueError("scp_client_ca needs TLS: set scp_certificate and scp_key too")
        if not _is_address(self.scp_bind):
            raise ValueError("scp_bind must be an IP address of this machine")
        if not (_is_loopback(self.scp_bind) or self.scp_certificate or self.scp_plain_lan):
            raise ValueError(
                "scp_bind beyond loopback needs TLS (scp_certificate, scp_key) or scp_plain_lan"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the file of the home below the environment; read no `.env`."""
        file = InitSettingsSource(settings_cls, file_values(_home_of(init_settings)))
        return (init_settings, env_settings, file_secret_settings, file)

    @property
    def policy(self) -> SitePolicy:
        """The site's own policy; what it says of these settings is in them already."""
        return self._policy

    @property
    def unusable_policy(self) -> str:
        """Why the policy cannot be used, so that nothing may be trained; empty when it can."""
        return self._unusable

    def under(self, policy: SitePolicy) -> Settings:
        """These settings, tightened by the site's policy.

        Raises:
            NotReady: a line of the policy is looser than the setting.
        """
        for name, looser in _looser(self, policy):
            raise NotReady(
                f"the site's policy {self.home / own_policy.FILE} says {name} {looser}, which is "
                f"looser than the setting ({getattr(self, name)}).",
                f"A policy can only tighten: correct the line, or change {name} in {FILE}.",
            )
        said = policy.model_dump(include=set(TIGHTENED), exclude_none=True)
        tightened = self.model_copy(update=said)
        tightened._policy = policy
        return tightened

    def allowing_nothing(self, reason: str) -> Settings:
        """These settings, with a policy that cannot be used: nothing may be trained."""
        closed = self.model_copy()
        closed._unusable = reason
        return closed

    @property
    def joined(self) -> bool:
        """Whether this site is a member of a consortium."""
        return bool(self.site and self.hub_address)

    @property
    def ca_path(self) -> Path:
        """Where the certificates lie that vouch for the hub."""
        return self.ca_file or self.home / "ca.pem"

    @property
    def keys(self) -> Path:
        """Folder of the site's keys."""
        return self.home / "keys"

    @property
    def store_path(self) -> Path:
        """The site's database."""
        return self.home / "site.sqlite"


def _looser(settings: Settings, policy: SitePolicy) -> Iterator[tuple[str, object]]:
    """Lines of a policy that would loosen a setting, with what they say."""
    for name in ("min_examples", "min_cell"):
        value = getattr(policy, name)
        if value is not None and value < getattr(settings, name):
            yield name, value
    for name in ("max_rounds", "threads", "memory_mb"):
        value, most = getattr(policy, name), getattr(settings, name)
        if value is not None and most and value > most:
            yield name, value
    if policy.gpus is not None and policy.gpus > settings.gpus:
        yield "gpus", policy.gpus
    if policy.answer_counts and not settings.answer_counts:
        yield "answer_counts", "yes"
    added = set(policy.families or ()) - set(settings.families)
    if settings.families and added:
        yield "families", ", ".join(sorted(added))


def load_settings(home: Path | None = None, *, strict: bool = True, **given: Any) -> Settings:
    """Read the settings of the home that was named, or of the default one, and its policy.

    Args:
        home: the folder; None names the default one.
        strict: raise when the policy cannot be used; else nothing may be trained with the settings.
        given: values of the command line.

    Raises:
        NotReady: a name is unknown, a value impossible, a file unreadable, or the policy is looser
            than the settings.
    """
    settings = _read_settings(home, given)
    try:
        return settings.under(read_policy(settings.home))
    except NotReady as error:
        if strict:
            raise
        return settings.allowing_nothing(error.finding)


def _read_settings(home: Path | None, given: dict[str, Any]) -> Settings:
    _refuse_strangers()
    values = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(home=home or default_home(), **values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise NotReady(
            f"The setting {name} is not usable: {first['msg']}.{_hint(name)}",
            f"Correct it in {FILE}, in the environment ({PREFIX}…) or on the command line.",
        ) from error


def default_home() -> Path:
    """`$CONSILIUM_HOME`, else the user's own data folder."""
    named = os.environ.get("CONSILIUM_HOME")
    if named:
        return Path(named).expanduser().resolve()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "consilium"


def process_environment() -> dict[str, str]:
    """The environment that a child process inherits; settings.py is its only reader."""
    return dict(os.environ)


def write_settings(path: Path, values: dict[str, Any]) -> None:
    """Write settings as TOML, whole or not at all, readable by the owner only."""
    lines = ["# Written by `consilium site join`. Each line can be changed; see docs/settings.md."]
    lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    with partial.open("w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _home_of(source: PydanticBaseSettingsSource) -> Path:
    return Path(source().get("home") or default_home())


def file_values(home: Path) -> dict[str, Any]:
    """The settings as the file of a home holds them, without defaults.

    Raises:
        NotReady: it is no TOML.
    """
    path = home / FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise NotReady(
            f"The settings file {path} cannot be read: {error}.", "Correct or restore it."
        ) from error


def _refuse_strangers() -> None:
    for name in sorted(os.environ):
        if (
            name.startswith(PREFIX)
            and name.removeprefix(PREFIX).lower() not in Settings.model_fields
        ):
            raise NotReady(
                f"The environment variable {name} is no setting.{_hint(name)}",
                "Correct its name or unset it.",
            )


def _hint(name: str) -> str:
    bare = name.removeprefix(PREFIX).lower()
    near = difflib.get_close_matches(bare, Settings.model_fields, n=1)
    return f" Did you mean {near[0]}?" if near and near[0] != bare else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return ipaddress.ip_address(text).is_loopback
