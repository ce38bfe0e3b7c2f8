"""The dates of a certificate file, as one code; the clock is moved, the file stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compliance.signing.certificate import validity_of
from hub.services.authority import SERVER_DAYS, make_authority

MADE = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's authority and server certificate of that day."""
    folder = tmp_path_factory.mktemp("tls") / "tls"
    make_authority(folder, "hub.example", "127.0.0.1", MADE)
    return folder


@pytest.mark.parametrize(
    ("days", "code"),
    [
        (-1, "early"),
        (0, "good"),
        (SERVER_DAYS - 32, "good"),
        (SERVER_DAYS - 30, "ends_soon"),
        (SERVER_DAYS - 1, "ends_soon"),
        (SERVER_DAYS, "ended"),
    ],
)
def test_a_certificate_is_spoken_of_thirty_days_before_its_end(tls, days, code):
    """Good, soon, ended; and early for a clock that is behind."""
    found = validity_of(tls / "server.pem", MADE + timedelta(days=days))

    assert found.code == code
    assert found.until == MADE - timedelta(hours=1) + timedelta(days=SERVER_DAYS)


def test_of_several_certificates_the_first_to_end_counts(tls, tmp_path):
    """A file with the authority and an intermediate is as good as the weaker one."""
    both = tmp_path / "both.pem"
    both.write_bytes((tls / "ca.pem").read_bytes() + (tls / "server.pem").read_bytes())

    assert validity_of(both, MADE + timedelta(days=SERVER_DAYS)).code == "ended"
    assert validity_of(tls / "ca.pem", MADE + timedelta(days=SERVER_DAYS)).code == "good"


def test_what_cannot_be_read_is_not_called_good(tmp_path):
    """No file, no certificate in it."""
    (tmp_path / "text.pem").write_text("hello")

    for name in ("text.pem", "none.pem"):
        found = validity_of(tmp_path / name, MADE)
        assert (found.code, found.until) == ("unreadable", None)
