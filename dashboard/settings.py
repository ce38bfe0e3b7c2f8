"""The dashboard's settings: read once, frozen, every field with its sentence.

Order: command line, environment `CONSILIUM_DASHBOARD_*`, `<home>/dashboard.toml`, default. An
unknown name is refused wherever it stands.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from compliance.errors import NotReady

PREFIX = "CONSILIUM_DASHBOARD_"
FILE = "dashboard.toml"
SECURE_COOKIE = "__Host-consilium_session"
PORTS = {"http": 80, "https": 443}


class Settings(BaseSettings):
    """All that the dashboard reads from outside; it has no database and no secret."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(description="Folder for what this dashboard remembers: checked checkpoints.")
    mode: Literal["hub", "site"] = Field(
        "hub", description="Whom it asks: the hub, or (`site`) the site of this home: the console."
    )
    hub_url: str = Field("https://127.0.0.1:8443", description="Address of the hub, https only.")
    ca_file: Path | None = Field(
        None, description="Certificate that vouches for the hub; without it the system's own."
    )
    public_url: str = Field(
        "",
        validate_default=True,
        description="Address that browsers use; default http on loopback, else https only.",
    )
    bind: str = Field("127.0.0.1", description="Address on which the dashboard listens.")
    port: int = Field(8501, ge=1, le=65535, description="Port on which the dashboard listens.")
    policy_file: Path | None = Field(
        None,
        description="Policy with the witnesses' keys, obtained outside the hub; or a folder with "
        "one .txt for each log.",
    )

    @field_validator("hub_url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError("it must begin with https:// and name a host")
        return value.rstrip("/")

    @field_validator("public_url")
    @classmethod
    def _an_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/")):
            raise ValueError("it must be https://HOST, without a path")
        return value.rstrip("/").lower()

    @model_validator(mode="after")
    def _http_on_loopback_only(self) -> Self:
        host = urlsplit(self.origin).hostname or ""
        if not self.secure and not (is_loopback(host) and is_loopback(self.bind)):
            raise ValueError(
                "public_url is http beyond this machine: passwords would travel readable; "
                "give the https address of the reverse proxy"
            )
        return self

    @model_validator(mode="after")
    def _console_on_loopback_only(self) -> Self:
        host = urlsplit(self.origin).hostname or ""
        if self.mode == "site" and not (is_loopback(host) and is_loopback(self.bind)):
            raise ValueError("a site's console answers on this machine only; leave bind as it is")
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
        home = Path(init_settings().get("home") or default_home())
        file = InitSettingsSource(settings_cls, _file_values(home))
        return (init_settings, env_settings, file_secret_settings, file)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the address that browsers use, as they write it in Origin."""
        parts = urlsplit(self.public_url or f"http://{_bracketed(self.bind)}:{self.port}")
        port = parts.port if parts.port != PORTS[parts.scheme] else None
        host = _bracketed(parts.hostname or "")
        return f"{parts.scheme}://{host}" + (f":{port}" if port else "")

    @property
    def secure(self) -> bool:
        """Whether browsers come over TLS."""
        return self.origin.startswith("https://")

    @property
    def cookie(self) -> str:
        """Name of the session cookie; on loopback with the port, since cookies ignore ports."""
        if self.mode == "site":
            return f"consilium_console_{self.port}"
        return SECURE_COOKIE if self.secure else f"consilium_demo_{self.port}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
        name = ".".join(str(part) for part in first["loc"]) or "public_url"
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


@contextmanager
def private_surroundings() -> Iterator[None]:
    """Give this process an empty home and working folder, and no `STREAMLIT_*` variable.

    A stray `.streamlit/config.toml` or variable sets each Streamlit option that our code leaves
    out, the remote control API among them.
    """
    before, home = Path.cwd(), os.environ.get("HOME")
    for name in [name for name in os.environ if name.startswith("STREAMLIT_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="consilium-dashboard-") as folder:
        os.environ["HOME"] = folder
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            os.environ.pop("HOME")
            if home is not None:
                os.environ["HOME"] = home


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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
            raise NotReady(
                f"The environment variable {name} is no setting.{_hint(bare)}",
                "Correct its name or unset it.",
            )


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f" Did you mean {near[0]}?" if near and near[0] != name else ""
