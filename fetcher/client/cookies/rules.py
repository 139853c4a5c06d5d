"""
Owns what a Set-Cookie header means (RFC 6265 5, and the prefixes of its revision), and where a cookie goes. Pure.

SameSite is for browsers, which are led to a site by others; it is not looked at.
"""

from __future__ import annotations

import calendar
import re
from ipaddress import ip_address

from fetcher.model import Cookie, Url

LONGEST = 4_096
"""Bytes of a cookie's name and value together (RFC 6265 6.1)."""

LONGEST_ATTRIBUTE = 1_024
"""Bytes of an attribute's value; a longer one is left unread, as its revision has it."""

PAST = 0.0
"""When a cookie expires that is to be dropped."""

SECOND_LEVELS = frozenset(
    {"ac", "asn", "co", "com", "ed", "edu", "gen", "go", "gob", "gouv", "gov", "govt", "gv", "id", "info", "ltd"}
    | {"me", "mil", "ne", "net", "nhs", "nic", "nom", "or", "org", "plc", "police", "sch", "school", "web"}
)
"""What countries part their names by, as in co.uk; the names below belong to different people."""

_COUNTRY = 2
"""Letters of a country's top level."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MAX_AGE = re.compile(r"-?[0-9]+")
_DELIMITER = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\D.*)?", re.DOTALL)
_DAY = re.compile(r"(\d{1,2})(?:\D.*)?", re.DOTALL)
_YEAR = re.compile(r"(\d{2,4})(?:\D.*)?", re.DOTALL)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def read_cookie(header: bytes, url: Url, now: float) -> Cookie | None:
    """
    The cookie that a Set-Cookie header of a reply from `url` sets, or None if it sets none that may be kept.

    One that is to be dropped has expired.

    Args:
        now: Seconds since the epoch.
    """
    text = header.decode("utf-8", "surrogateescape")
    if _CONTROLS.search(text):
        return None
    pair, _, rest = text.partition(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not equals or not name or len(name) + len(value) > LONGEST:
        return None
    said = _attributes(rest)
    secure = "secure" in said
    https = url.origin.scheme == "https"
    if secure and not https:
        # Whoever is on the way could set it (its revision, 5.7).
        return None
    host = url.origin.host
    domain = said.get("domain", "").lower().removeprefix(".")
    host_only = not domain or (domain == host and (is_address(host) or is_suffix(host)))
    if not host_only and not (covers(domain, host) and not is_suffix(domain)):
        return None
    path = said.get("path", "")
    path = path if path.startswith("/") else default_path(url)
    prefix = name[:9].lower()
    if prefix == "__secure-" and not secure:
        return None
    if prefix.startswith("__host-") and not (secure and not domain and said.get("path") == "/"):
        return None
    expires = _expiry(said, now)
    return Cookie(name, value, host if host_only else domain, host_only, path, secure, expires, "httponly" in said)


def _attributes(text: str) -> dict[str, str]:
    """Names in lower case and values; the last of a name counts."""
    said = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        value = value.strip(" \t")
        if len(value) <= LONGEST_ATTRIBUTE:
            said[name.strip(" \t").lower()] = value
    return said


def _expiry(said: dict[str, str], now: float) -> float | None:
    """Seconds since the epoch when it is over; None is with the session. Max-Age wins over Expires."""
    age = said.get("max-age", "")
    if _MAX_AGE.fullmatch(age):
        # Too long a number of digits is a long time, whatever it is.
        seconds = int(age[:11])
        return now + seconds if seconds > 0 else PAST
    return read_date(said["expires"]) if "expires" in said else None


def read_date(text: str) -> float | None:
    """
    Seconds since the epoch, of a date in whatever order it is written (RFC 6265 5.1.1); None if it is none.

    Never negative: what is so long ago is over.
    """
    time: tuple[int, ...] | None = None
    day = month = year = None
    for token in _DELIMITER.split(text):
        if time is None and (match := _TIME.fullmatch(token)):
            time = tuple(map(int, match.groups()))
        elif day is None and (match := _DAY.fullmatch(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.fullmatch(token)):
            year = int(match[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hour, minute, second = time
    if year < 1601 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return max(PAST, float(calendar.timegm((year, month, day, hour, minute, second))))


def goes_to(cookie: Cookie, url: Url, now: float) -> bool:
    """Whether a cookie is sent to a URL (RFC 6265 5.4)."""
    return is_for(cookie, url) and not is_over(cookie, now) and (not cookie.secure or url.origin.scheme == "https")


def is_for(cookie: Cookie, url: Url) -> bool:
    """Whether a URL is one that a cookie was set for."""
    host = url.origin.host
    fits = cookie.domain == host if cookie.host_only else covers(cookie.domain, host)
    return fits and below(cookie.path, url.target.partition("?")[0])


def is_over(cookie: Cookie, now: float) -> bool:
    """Whether a cookie has expired."""
    return cookie.expires is not None and cookie.expires <= now


def covers(domain: str, host: str) -> bool:
    """Whether a host is a domain or one below it (RFC 6265 5.1.3); nothing is below an address."""
    return host == domain or (host.endswith(f".{domain}") and not is_address(host))


def below(path: str, other: str) -> bool:
    """Whether the other path is that path or below it (RFC 6265 5.1.4)."""
    return other == path or (other.startswith(path) and (path.endswith("/") or other[len(path)] == "/"))


def default_path(url: Url) -> str:
    """The path of a cookie that names none: the URL's, up to its last slash."""
    return url.target.partition("?")[0].rpartition("/")[0] or "/"


def is_address(host: str) -> bool:
    """Whether a host is an address and no name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_suffix(domain: str) -> bool:
    """
    Whether the names below a domain belong to different people, so that one cannot set cookies for all.

    A rule in place of the Public Suffix List, of which a library would have to bring a fresh copy: top levels, and what
    countries have below theirs.
    """
    above, dot, top = domain.rstrip(".").rpartition(".")
    return not dot or (len(top) == _COUNTRY and above in SECOND_LEVELS)
