"""The hub's own certificate authority and server certificate (X.509, EC P-256).

Made at `hub init`. Sites pin the authority by the fingerprint in their invitation code.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from compliance.errors import NotReady

AUTHORITY_YEARS, SERVER_DAYS = 10, 825
LOOPBACK = ("localhost", "127.0.0.1")


def make_authority(folder: Path, name: str, host: str, now: datetime) -> None:
    """Write `ca.pem`, `ca.key`, `server.pem` and `server.key`; keys with mode 0600.

    Args:
        folder: new folder for the four files.
        name: name of the hub.
        host: host of the public address; loopback names are always added.
        now: begin of validity, minus an hour for clocks that are late.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    begin = now - timedelta(hours=1)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} authority")])
    ca = (
        _builder(ca_name, ca_name, ca_key, begin, timedelta(days=365 * AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(_identifier(ca_key), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_pair(folder, "ca", ca, ca_key)
    _write_pair(folder, "server", *_issue(ca, ca_key, host, begin))


def renew(folder: Path, host: str, now: datetime) -> datetime:
    """Give the hub a new key and certificate by the same authority; returns until when it counts.

    Hospitals notice nothing: they trust the authority. Killed between the two files, run it again.

    Args:
        folder: of the four files.
        host: host of the public address.
        now: begin of validity, minus an hour.

    Raises:
        NotReady: the authority is not here, or ends before the new certificate would begin.
    """
    try:
        ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise NotReady(
            f"the authority in {folder} cannot be used ({error}).",
            "Put ca.pem and ca.key back from the backup, or bring a certificate of your own proxy.",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or now >= ca.not_valid_after_utc:
        raise NotReady(
            "the hub's certificate authority itself has ended.",
            "Hospitals must get another one by hand (`ca_file`): call them first.",
        )
    certificate, fresh = _issue(ca, key, host, now - timedelta(hours=1))
    for name in ("server.new.pem", "server.new.key"):
        (folder / name).unlink(missing_ok=True)
    _write_pair(folder, "server.new", certificate, fresh)
    for ending in ("key", "pem"):
        (folder / f"server.new.{ending}").replace(folder / f"server.{ending}")
    return certificate.not_valid_after_utc


def _issue(
    ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, host: str, begin: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A new server key and its certificate; it never outlives the authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    length = min(timedelta(days=SERVER_DAYS), ca.not_valid_after_utc - begin)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        _builder(subject, ca.subject, key, begin, length)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .add_extension(_identifier(key), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return certificate, key


def _write_pair(
    folder: Path, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    (folder / f"{stem}.pem").write_bytes(certificate.public_bytes(_PEM))
    _write_private(folder / f"{stem}.key", key)


_PEM = serialization.Encoding.PEM


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begin: datetime,
    length: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + length)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _names(host: str) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys((host, *LOOPBACK)):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
