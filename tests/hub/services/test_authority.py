"""The hub's certificate is renewed by the same authority: no hospital must do anything."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from compliance.command import main
from compliance.errors import NotReady
from compliance.signing.certificate import validity_of
from hub.services.authority import AUTHORITY_YEARS, SERVER_DAYS, make_authority, renew

MADE = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
LATER = MADE + timedelta(days=SERVER_DAYS - 10)


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """The four files of a hub."""
    make_authority(tmp_path / "tls", "hub.example", "hub.example", MADE)
    return tmp_path / "tls"


def test_a_renewed_certificate_is_good_and_the_authority_stays(tls):
    """New key, new dates, the old names, signed by the authority that hospitals hold."""
    before = {path.name: path.read_bytes() for path in tls.iterdir()}
    assert validity_of(tls / "server.pem", LATER).code == "ends_soon"

    until = renew(tls, "hub.example", LATER)

    after = {path.name: path.read_bytes() for path in tls.iterdir()}
    assert set(after) == set(before)
    assert after["ca.pem"] == before["ca.pem"]
    assert after["server.key"] != before["server.key"]
    found = validity_of(tls / "server.pem", LATER)
    assert (found.code, found.until) == ("good", until)
    ca = x509.load_pem_x509_certificate(after["ca.pem"])
    new, old = (x509.load_pem_x509_certificate(one["server.pem"]) for one in (after, before))
    new.verify_directly_issued_by(ca)
    names = x509.SubjectAlternativeName
    assert new.extensions.get_extension_for_class(names) == old.extensions.get_extension_for_class(
        names
    )


def test_key_and_certificate_belong_together_and_are_closed(tls):
    """TLS starts with them; nobody else reads the key."""
    renew(tls, "hub.example", LATER)

    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
        tls / "server.pem", tls / "server.key"
    )
    assert (tls / "server.key").stat().st_mode & 0o077 == 0


def test_what_a_killed_renewal_left_is_no_obstacle(tls):
    """Run it again: half a pair is thrown away."""
    (tls / "server.new.key").write_text("half")

    renew(tls, "hub.example", LATER)

    assert not list(tls.glob("server.new.*"))


def test_a_certificate_never_outlives_its_authority(tls):
    """Near the end of ten years it is shorter."""
    near = MADE + timedelta(days=365 * AUTHORITY_YEARS - 100)

    until = renew(tls, "hub.example", near)

    assert until == validity_of(tls / "ca.pem", near).until


def test_an_authority_that_ended_or_is_not_here_is_said(tls):
    """Both are people's work; the old pair stays."""
    before = (tls / "server.pem").read_bytes()
    with pytest.raises(NotReady, match="authority itself has ended"):
        renew(tls, "hub.example", MADE + timedelta(days=365 * AUTHORITY_YEARS + 1))
    (tls / "ca.key").unlink()
    with pytest.raises(NotReady, match="cannot be used"):
        renew(tls, "hub.example", LATER)

    assert (tls / "server.pem").read_bytes() == before


def test_the_authority_of_another_form_is_refused(tls):
    """A key that is no elliptic one, or a file that holds no key."""
    from cryptography.hazmat.primitives.asymmetric import ed25519

    pem, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(pem, plain, none)
    for text in (other, b"no key"):
        (tls / "ca.key").write_bytes(text)
        with pytest.raises(NotReady):
            renew(tls, "hub.example", LATER)


def test_the_command_renews_what_init_made(tmp_path, capsys):
    """Typed by the administrator: the day until when it counts, and what to restart."""
    home = ["--home", str(tmp_path / "hub")]
    assert main(["hub", "init", *home, "--json"]) == 0
    before = (tmp_path / "hub" / "tls" / "server.pem").read_bytes()
    capsys.readouterr()

    assert main(["hub", "renew-certificate", *home]) == 0

    said = capsys.readouterr().out
    assert "Restart `consilium hub serve`" in said
    assert (tmp_path / "hub" / "tls" / "server.pem").read_bytes() != before
    assert main(["hub", "status", *home, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["certificate"] == "good"
