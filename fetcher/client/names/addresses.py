"""
Owns which addresses are nobody's on the public internet, and what they are called.

The registries are the IANA's IPv4 and IPv6 Special-Purpose Address Registries; Python's `ipaddress` has them, but not
the same in every version, and not what an IPv6 address stands for: behind `::ffff:127.0.0.1` is this machine.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

METADATA = frozenset(map(ip_address, ("169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200")))
"""Where clouds tell a machine its secrets. The third one looks public."""

PUBLIC6 = IPv6Network("2000::/3")
"""All global unicast addresses that there are (RFC 4291, IANA)."""

NAT64 = IPv6Network("64:ff9b::/96")
SIX_TO_FOUR = IPv6Network("2002::/16")
COMPATIBLE = IPv6Network("::/96")

SHARED = IPv4Network("100.64.0.0/10")

DOCUMENTATION = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
DOCUMENTATION6 = tuple(map(IPv6Network, ("2001:db8::/32", "3fff::/20")))

RELAYS = IPv4Network("192.88.99.0/24")
"""Relays of 6to4, given up by RFC 7526."""


class BlockedError(Exception):
    """None of a host's addresses may be connected to; the text says why."""


def forbidden(address: str) -> str | None:
    """
    What an address is that is not on the public internet (`a loopback address`), or None for one that is.

    Args:
        address: IPv4 or IPv6, with or without a zone.
    """
    ip = ip_address(address.partition("%")[0])
    if ip in METADATA:
        return "a cloud's metadata address"
    if isinstance(ip, IPv4Address):
        return _forbidden4(ip)
    inner = _inside(ip)
    if inner is not None:
        return forbidden(str(inner))
    return _forbidden6(ip)


def _inside(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip in NAT64 or (ip in COMPATIBLE and int(ip) > 1):
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    if ip in SIX_TO_FOUR:
        return IPv4Address(int(ip) >> 80 & 0xFFFF_FFFF)
    return None


def _forbidden4(ip: IPv4Address) -> str | None:
    general = _general(ip)
    if general is not None:
        return general
    if ip in SHARED:
        return "a shared address (RFC 6598)"
    if any(ip in network for network in DOCUMENTATION):
        return "an address for documentation"
    if ip.is_reserved:
        return "a reserved address"
    if ip.is_private:
        return "a private address"
    return None if ip.is_global and ip not in RELAYS else "an address that is not public"


def _forbidden6(ip: IPv6Address) -> str | None:
    general = _general(ip)
    if general is not None:
        return general
    if any(ip in network for network in DOCUMENTATION6):
        return "an address for documentation"
    if ip in PUBLIC6:
        return None if ip.is_global else "an address that is not public"
    return "a private address" if ip.is_private or ip.is_site_local else "an address that is not public"


def _general(ip: IPv4Address | IPv6Address) -> str | None:
    """What both families have."""
    if ip.is_unspecified:
        return "the unspecified address"
    if ip.is_loopback:
        return "a loopback address"
    if ip.is_link_local:
        return "a link-local address"
    return "a multicast address" if ip.is_multicast else None
