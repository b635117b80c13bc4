"""Which hosts a key may be sent to: named ones over https, plain http to this machine only."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from upbringing.base.errors import UntrustedError

METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text) for text in ("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_base_url(base_url: str, *, allow_http: bool = False) -> str:
    """Return ``base_url`` without a trailing slash; raises ``UntrustedError`` for what must not be talked to.

    Every address the name resolves to is looked at: link-local, metadata, multicast and unspecified ones are refused,
    and http goes to loopback only, unless ``allow_http`` says that the network is trusted.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UntrustedError(f"an endpoint's base_url begins with https:// or http:// and a host, found {base_url!r}")
    if parts.username or parts.password:
        raise UntrustedError("the base_url holds a user name or password: name an environment variable with the key")
    if parts.query or parts.fragment:
        raise UntrustedError("the base_url holds a query or fragment: give the address only")
    addresses = _resolve(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    for address in addresses:
        plain = getattr(address, "ipv4_mapped", None) or address
        if plain in METADATA_ADDRESSES or plain.is_link_local or plain.is_multicast or plain.is_unspecified:
            raise UntrustedError(f"{parts.hostname} resolves to {plain}, which is not a model endpoint: refused")
        if parts.scheme == "http" and not plain.is_loopback and not allow_http:
            raise UntrustedError(
                f"{parts.hostname} is not this machine and http is not encrypted: use https, or allow_http on a "
                "network that you trust"
            )
    return base_url.rstrip("/")


def is_this_machine(base_url: str) -> bool:
    """Return whether the address says by itself that it is this machine; no name is looked up."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UntrustedError(f"the host {host!r} cannot be resolved ({error}): check base_url") from None
    return [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
