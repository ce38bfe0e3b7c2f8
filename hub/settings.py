"""The hub's settings: read once, frozen, every field with its sentence.

Order: command line, environment `CONSILIUM_HUB_*`, `<home>/hub.toml`, default.
An unknown name is refused wherever it stands.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from compliance.errors import NotReady

PREFIX = "CONSILIUM_HUB_"
FILE = "hub.toml"


class Settings(BaseSettings):
    """All that the hub's programs read from outside; the rest is in its database."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(description="Folder that holds everything of this hub, mode 0700.")
    name: str = Field(
        "hub.example",
        pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$",
        description="Name of the hub, first part of every log and key.",
    )
    title: str = Field("Consilium", description="Name of the consortium, for people.")
    address: str = Field(
        "https://127.0.0.1:8443", description="Address that sites and people use, https only."
    )
    dashboard_url: str = Field(
        "", description="Address of the dashboard; one-time links point to it."
    )
    bind: str = Field("127.0.0.1", description="Address on which the hub listens.")
    port: int = Field(0, ge=0, le=65535, description="Port; 0 takes the one of `address`.")
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL; default is SQLite in the home."
    )
    consortium: str = Field(
        "", description="Left from homes older than the consortium's own log; not used any more."
    )
    checkpoint_seconds: float = Field(
        5.0, ge=0, le=60, description="Seconds between two checkpoints of a growing log."
    )
    session_idle_minutes: int = Field(30, ge=1, le=480, description="Minutes without use.")
    session_hours: int = Field(8, ge=1, le=24, description="Longest life of a session in hours.")

    @field_validator("address")
    @classmethod
    def _https(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port beyond 65535
            usable = False
        if not usable:
            raise ValueError("it must begin with https:// and name a host, and a port if not 443")
        return value.rstrip("/")

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
        home = Path(init_settings().get("home") or default_home())
        file = InitSettingsSource(settings_cls, _file_values(home))
        return (init_settings, env_settings, file_secret_settings, file)

    @property
    def host(self) -> str:
        """Host of the public address."""
        return urlsplit(self.address).hostname or "127.0.0.1"

    @property
    def public_port(self) -> int:
        """Port of the public address."""
        return urlsplit(self.address).port or 443

    @property
    def listen_port(self) -> int:
        """Port on which the hub listens."""
        return self.port or self.public_port

    @property
    def url(self) -> str:
        """URL of the database."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'hub.sqlite'}"

    @property
    def keys(self) -> Path:
        """Folder of the hub's keys."""
        return self.home / "keys"

    @property
    def tls(self) -> Path:
        """Folder of the hub's authority and certificate."""
        return self.home / "tls"


def load_settings(home: Path | None = None, **given: Any) -> Settings:
    """Read the settings of the home that was named, or of the default one.

    Raises:
        NotReady: a name is unknown, a value impossible, or the file is no TOML.
    """
    _refuse_strangers()
    values = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(home=(home or default_home()).resolve(), **values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise NotReady(
            f"The setting {name} is not usable: {first['msg']}.",
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
    lines = ["# Written by `consilium hub init`. Each line can be changed; see docs/settings.md."]
    lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path)


def _file_values(home: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((home / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise NotReady(
            f"The settings file {home / FILE} cannot be read: {error}.", "Correct or restore it."
        ) from error


def _refuse_strangers() -> None:
    for name in sorted(os.environ):
        bare = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and bare not in Settings.model_fields:
            near = difflib.get_close_matches(bare, Settings.model_fields, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise NotReady(
                f"The environment variable {name} is no setting.{hint}",
                "Correct its name or unset it.",
            )
