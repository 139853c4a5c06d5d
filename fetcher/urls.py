"""
Owns what a URL is: text of the input or of a Location header to a `Url` that can be sent.

What is already encoded goes out byte for byte, because signed URLs break when they are quoted anew. Only what cannot
stand on a request line is encoded: blanks and non-ASCII. The host is another matter: it is decoded, mapped (UTS 46),
lowered and checked here, and numeric IPv4 addresses get their canonical spelling (WHATWG URL 3.5), so that nothing
downstream sees two names for one host.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote_to_bytes, urljoin

from fetcher.model import DEFAULT_PORTS, Origin, Url

_URL = re.compile(r"(https?)://([^/?#\\]*)([^#]*)", re.IGNORECASE | re.DOTALL)
_FRONT = re.compile(r"(https?)://([A-Za-z0-9.\-_:]+)", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_UNSENDABLE = re.compile(r"[^\x21-\x7e]")
_DOTS = re.compile(r"/\.{1,2}(?:[/?]|$)")
_HOST = re.compile(r"[a-z0-9_\-]+(?:\.[a-z0-9_\-]+)*\.?")
_PLAIN_HOST = re.compile(r"[a-z0-9.\-_]+")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_PORT = re.compile(r"0{0,9}[0-9]{1,5}")
_ZONE = re.compile(r"[A-Za-z0-9._\-]+")
_PASSWORD = re.compile(r"(://[^/?#\\:]*:)[^/?#\\]*(?=@)")
# Where there is no scheme, or not both of its slashes. The shortest beginning wins: all behind its colon is hidden.
# Lists of links are full of mail addresses, which have no password.
_BARE_PASSWORD = re.compile(
    r"\A(?!(?i:mailto):)((?:[A-Za-z][A-Za-z0-9+.\-]*:[/\\]*|[/\\]{2,})??[^/?#\\:]*:)[^/?#\\]*(?=@)"
)
_AUTHORITY = re.compile(r"[^/?#\\]*")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){0,2}")

ORIGINS = 8_192
"""Origins whose parsing is remembered."""


class UrlError(ValueError):
    """Why a text is no URL that can be sent; a sentence fit for a record."""


def parse_url(text: str) -> tuple[Url, str | None]:
    """
    A URL and its user info (`user:password`, still encoded), from text without blanks around it.

    Stray bytes may be in it as surrogates (`surrogateescape`); they are sent as they are, percent-encoded.

    Raises:
        UrlError: It is no absolute http or https URL.
    """
    # Nearly every URL is plain and goes out as it came; a tenth of a microsecond here is a second in ten million.
    if text.isascii() and text.isprintable() and " " not in text and "#" not in text and "@" not in text:
        slash = text.find("/", 8)
        if slash > 0:
            target = text[slash:]
            if "/." not in target:
                origin = _front(text[:slash])
                if origin is not None:
                    return Url(origin, target), None
    return _parse_any(text)


@lru_cache(maxsize=ORIGINS)
def _front(text: str) -> Origin | None:
    """The origin that a URL begins with, or None if that is not plain to see."""
    match = _FRONT.fullmatch(text)
    # Its own answers are remembered: in two tables an origin takes half as much again.
    return _new_origin(match[1].lower(), match[2]) if match is not None else None


def _parse_any(text: str) -> tuple[Url, str | None]:
    match = _URL.match(text)
    if match is None:
        raise UrlError(_why_not(text))
    if _CONTROLS.search(text):
        raise UrlError("a control character in the URL")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UrlError("half a character (a lone surrogate) in the URL") from None
    scheme, authority, target = match.groups()
    userinfo, at, netloc = authority.rpartition("@")
    return Url(_origin(scheme.lower(), netloc), _sendable(target)), userinfo if at else None


def join_url(base: Url, reference: str) -> Url:
    """
    Where a Location header leads from `base` (RFC 3986 5.2); a fragment and user info are dropped.

    Raises:
        UrlError: Nowhere that http or https can reach.
    """
    reference = reference.strip(" \t")
    if not _SCHEME.match(reference):
        try:
            reference = urljoin(str(base), reference)
        except ValueError as error:
            raise UrlError(str(error)) from error
    return parse_url(reference)[0]


def masked(text: str, *, joined: bool = False) -> str:
    """
    A URL fit to be shown: the password in its user info is `***`, a stray byte is `\\xNN`.

    Text without a scheme may begin with user info, too, unless it is a path that was `joined` to a base.
    """
    if "@" in text:
        text = _PASSWORD.sub(r"\1***", text)
        if not joined:
            text = _BARE_PASSWORD.sub(r"\1***", text)
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        # A lone surrogate that stands for no byte, as only a program can give it.
        return text.encode("utf-8", "backslashreplace").decode()


def begins_with_credentials(text: str) -> bool:
    """
    Whether text without a scheme reads as `user:password@host`, and so is a URL that lacks one rather than a path.

    `item:3@2.5` is a path, and so is whatever has a slash before its `@`.
    """
    if "@" not in text:
        return False
    authority = _AUTHORITY.match(text)
    userinfo, _, netloc = authority[0].rpartition("@") if authority is not None else ("", "", "")
    if ":" not in userinfo or _VERSION.fullmatch(netloc):
        return False
    try:
        _origin("http", netloc)
    except UrlError:
        return False
    return True


def with_params(url: Url, query: str) -> Url:
    """The URL with more of a query, already encoded, behind what it has."""
    if not query:
        return url
    glue = "" if url.target.endswith(("?", "&")) else "&" if "?" in url.target else "?"
    return Url(url.origin, url.target + glue + query)


def _why_not(text: str) -> str:
    scheme = _SCHEME.match(text)
    if not text:
        return "an empty URL"
    if scheme is None or "." in scheme[1] or text[scheme.end() :][:1].isdigit():
        return "no scheme: write http:// or https:// before it, or give --base-url"
    if scheme[1].lower() in DEFAULT_PORTS:
        return f"no host: two slashes belong behind {scheme[1]}:"
    return f"scheme {scheme[1]!r} is neither http nor https"


def _sendable(target: str) -> str:
    """Path and query, fit for a request line."""
    if not target.startswith("/"):
        target = "/" + target
    if _UNSENDABLE.search(target):
        target = _UNSENDABLE.sub(_percent, target)
    if "/." in target and _DOTS.search(target):
        target = _without_dots(target)
    return target


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def _without_dots(target: str) -> str:
    """The target without `.` and `..` segments (RFC 3986 5.2.4), as curl and browsers send it."""
    path, mark, query = target.partition("?")
    kept: list[str] = []
    segments = path.split("/")[1:]
    for position, segment in enumerate(segments):
        last = position == len(segments) - 1
        if segment in {".", ".."}:
            if segment == ".." and kept:
                kept.pop()
            if last:
                kept.append("")
        else:
            kept.append(segment)
    return "/" + "/".join(kept) + mark + query


@lru_cache(maxsize=ORIGINS)
def _origin(scheme: str, netloc: str) -> Origin:
    return _new_origin(scheme, netloc)


def _new_origin(scheme: str, netloc: str) -> Origin:
    if netloc.startswith("["):
        literal, bracket, rest = netloc[1:].partition("]")
        if not bracket or rest[:1] not in {"", ":"}:
            raise UrlError("an IPv6 address needs its brackets: [::1]")
        host = _ipv6(literal)
        port = rest[1:]
    else:
        host, _, port = netloc.partition(":")
        if not host:
            raise UrlError("no host")
        host = _name(host)
    if port and not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
        raise UrlError(f"port {masked(port)!r} is not a number from 1 to 65535")
    number = int(port) if port else DEFAULT_PORTS[scheme]
    shown = f"[{host.replace('%', '%25')}]" if ":" in host else host
    text = f"{scheme}://{shown}" if number == DEFAULT_PORTS[scheme] else f"{scheme}://{shown}:{number}"
    return Origin(scheme, host, number, text)


def _ipv6(literal: str) -> str:
    """An IPv6 address in canonical form; a zone stands behind `%25` (RFC 6874), or a bare `%` as curl reads it."""
    address, percent, zone = literal.partition("%")
    if len(zone) > 2:
        zone = zone.removeprefix("25")
    try:
        canonical = str(IPv6Address(address))
    except ValueError as error:
        raise UrlError(f"not an IPv6 address: [{masked(literal)}]") from error
    if percent and not _ZONE.fullmatch(zone):
        raise UrlError(f"not a zone of an IPv6 address: [{masked(literal)}]")
    return canonical + percent + zone


def _name(host: str) -> str:
    """A host's ASCII form in lower case."""
    if not host.isascii() or "%" in host:
        try:
            decoded = unquote_to_bytes(host.encode("utf-8", "surrogateescape")).decode()
        except UnicodeDecodeError:
            raise UrlError(f"host {masked(host)!r} is not UTF-8") from None
        host = decoded if decoded.isascii() else _idna(decoded)
    host = host.lower()
    if not _PLAIN_HOST.fullmatch(host):
        raise UrlError(f"host {masked(host)!r} has a character that no host name has")
    last = host.rstrip(".").rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        return _ipv4(host)
    if not _HOST.fullmatch(host) or len(host.rstrip(".")) > 253 or any(len(label) > 63 for label in host.split(".")):
        raise UrlError(f"host {host!r} is not a host name")
    return host


def _idna(host: str) -> str:
    # Its tables take longer to load than all of `--help`, and most lists never need them.
    import idna

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise UrlError(f"host {host!r} is not a host name: {error}") from error


def _ipv4(host: str) -> str:
    """The dotted form of an IPv4 address in any spelling that inet_aton reads: hexadecimal, octal, fewer parts."""
    parts = host.removesuffix(".").split(".")
    refusal = UrlError(f"host {host!r} is not an IPv4 address")
    # int() also reads signs and underscores, which are no part of an address.
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise refusal
    try:
        numbers = [
            int(part[2:] or "0", 16) if part.startswith("0x") else int(part, 8 if part[0] == "0" else 10)
            for part in parts
        ]
    except ValueError:
        raise refusal from None
    *bytes_, rest = numbers
    if any(number > 255 for number in bytes_) or rest >= 256 ** (5 - len(parts)):
        raise refusal
    return str(IPv4Address(sum(number << 8 * (3 - place) for place, number in enumerate(bytes_)) + rest))
