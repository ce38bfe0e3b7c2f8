"""Why the line to the hub is not open: one code and one fix for each thing that can be in between.

What the operating system and OpenSSL say is read here and nowhere else; a technician reads what to
do, the doctor the code.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass  # noqa: TID251 - reads settings, opens nothing

from compliance.errors import NotReady, Unreachable

OURS = "Nothing was sent."
CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
NAMELESS = ("name or service not known", "name resolution", "no address associated", "nodename")
"""How systems say that a name has no address (getaddrinfo, RFC 3493 §6.1)."""


class Untrusted(NotReady):
    """The other side shows a certificate that does not count; `code` as the doctor says it."""

    def __init__(self, code: str, finding: str, fix: str) -> None:
        self.code = code
        super().__init__(finding, f"{OURS} {fix}")


class Shut(Unreachable):
    """Nobody answers at the other end; `code` as the doctor says it."""

    def __init__(self, code: str, finding: str, fix: str) -> None:
        self.code = code
        super().__init__(finding, fix)


def fault(address: str, kind: str, said: str) -> Untrusted | Shut:
    """Name what is in between.

    Args:
        address: of the hub, as it was called.
        kind: class of the error that the attempt ended with, as httpx names it.
        said: its words, those of the system or of OpenSSL inside.
    """
    if CERTIFICATE in said:
        return _certificate(address, said)
    proxy = proxy_for(address)
    if kind == "ProxyError" or (proxy and kind == "ConnectError"):
        return Shut(
            "proxy_away",
            f"the proxy {proxy} on the way to {address} does not let us through ({kind}).",
            "Correct HTTPS_PROXY, or name the hub's host in NO_PROXY; then try again.",
        )
    if kind == "ConnectError" and any(word in said.lower() for word in NAMELESS):
        return Shut(
            "address_unknown",
            f"no machine has the name in {address}.",
            "Correct hub_address in site.toml, or ask for the name to be known (DNS).",
        )
    return Shut(
        "port_closed",
        f"the hub at {address} does not answer ({kind}).",
        "Check the address and that port 443 is open to the outside; then try again.",
    )


def _certificate(address: str, said: str) -> Untrusted:
    if "expired" in said or "not yet valid" in said:
        return Untrusted(
            "certificate_expired",
            f"the certificate of the hub at {address} is outside its dates.",
            "Is this machine's clock right? Then ask the hub's administrator to renew it.",
        )
    if "mismatch" in said or "not valid for" in said:
        return Untrusted(
            "certificate_name",
            f"the certificate at {address} is made out to another name.",
            "Use the address of the invitation, or ask the hub's administrator for its name.",
        )
    return Untrusted(
        "tls_unknown_ca",
        f"the hub at {address} shows a certificate of another authority.",
        "Ask hospital IT for a proxy between, and the hub for its code.",
    )


def proxy_for(address: str) -> str:
    """Host and port of the proxy that this machine uses for an address, empty for none.

    Name and password that may stand in its address are left out.
    """
    parts = urlsplit(address)
    found = getproxies()
    proxy = found.get(parts.scheme) or found.get("all") or ""
    if not proxy or not parts.hostname or proxy_bypass(parts.hostname):
        return ""
    return urlsplit(proxy if "//" in proxy else f"//{proxy}").netloc.rpartition("@")[2]
