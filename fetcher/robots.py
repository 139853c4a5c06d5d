"""
Owns what an origin's robots.txt allows (RFC 9309). Pure: who asks for it, and what a URL waits for, is the engine's.

Which group is ours is read here, since a group is ours only if its name is exactly our product token, and thousands of
groups for others need not be kept. What the rules of that group mean (wildcards, percent-encoding, the longest match)
is protego's.

No server's file can hold up the run: 500 KiB of it are read, over-long lines and patterns beyond a number are not,
and what is kept for all origins together is bounded. An origin's rules are kept as text, which takes a twentieth of
what they take when parsed, because to forget them is to ask the server again; to parse them again is cheap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from fetcher.errors import ErrorKind
from fetcher.model import Error, Origin, Request, Result, Url

if TYPE_CHECKING:
    from protego import Protego

T = TypeVar("T")

PATH = "/robots.txt"

MAX_BYTES = 500 * 1024
"""How much of a robots.txt is read (RFC 9309 2.5); the rest is ignored, and so is the line that is cut in two."""

MAX_LINE = 2083 * 8
"""Bytes of a line; a longer one is ignored. Google's parser takes no more of one either."""

MAX_PATTERNS = 2_000
"""
Rules with a `*` that are kept of one origin, the first ones. Each is tried on every URL, at some 0.5 µs, while rules
without one cost next to nothing, however many they are.
"""

MAX_DELAY = 300.0
"""Seconds between two requests beyond which a Crawl-delay is not followed: it counts as this many."""

MAX_AGE = 24 * 3600.0
"""Seconds after which a robots.txt is asked for again (RFC 9309 2.4)."""

ORIGINS = 100_000
"""Origins whose rules are kept; the one that was not asked about for longest is forgotten first."""

MEMORY = 64 * 1024 * 1024
"""Bytes that the rules of all origins together may take as text, and again as much parsed."""

_ORIGIN_COST = 600
_PARSER_COST = 2_500
_RULE_COST = 900
_STAR_COST = 150
"""Bytes that an origin takes beside its rules, a parser, a rule and a `*` in it; of protego 0.7, rounded up."""

_FIELDS = {
    "user-agent": "user-agent",
    "useragent": "user-agent",
    "user agent": "user-agent",
    "allow": "allow",
    "disallow": "disallow",
    "dissallow": "disallow",
    "dissalow": "disallow",
    "disalow": "disallow",
    "diasllow": "disallow",
    "disallaw": "disallow",
    "crawl-delay": "crawl-delay",
    "crawldelay": "crawl-delay",
    "crawl delay": "crawl-delay",
}
"""What can stand before the colon, with the misspellings that other parsers forgive; anything else is ignored."""

_LINE_ENDS = re.compile(rb"[\r\n]+")
_ODD_BYTES = re.compile(rb"[^\x20-\x7e]")
_TOKEN = re.compile(r"[^\s/;,()]+")
_COMPATIBLE = re.compile(r"\bcompatible;\s*([^\s/;,()]+)", re.IGNORECASE)
_SECONDS = re.compile(r"\d{1,9}(\.\d*)?|\.\d+", re.ASCII)
_SLASH = re.compile(r"%2f", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class RobotsConfig:
    """
    Whether to ask first.

    Attributes:
        robots: Fetch only what each origin's robots.txt allows, and as slowly as its Crawl-delay asks.
    """

    robots: bool = False

    def __post_init__(self) -> None:
        """Nothing: neither value can be wrong."""


class _Rules(NamedTuple):
    """
    What is known of one origin.

    Attributes:
        text: The rules of our group, one a line; empty if there are none, or all are refused.
        closed: There was no robots.txt to be had, so everything is refused.
        refusal: What is said of a URL that is refused.
        delay: Seconds between two requests.
        learned: The clock's time when it came.
    """

    text: str
    closed: bool
    refusal: Error
    delay: float
    learned: float


class _Shelf(Generic[T]):
    """A mapping that keeps to a number of things and to a cost of all together; what was not used for longest goes."""

    def __init__(self, most: int, room: int) -> None:
        self._most = most
        self._room = room
        self._things: dict[str, tuple[T, int]] = {}
        self._cost = 0

    def __len__(self) -> int:
        return len(self._things)

    def peek(self, key: str) -> T | None:
        """What is there, unused."""
        found = self._things.get(key)
        return found[0] if found is not None else None

    def get(self, key: str) -> T | None:
        """What is there, which is then the last to go."""
        found = self._things.pop(key, None)
        if found is None:
            return None
        self._things[key] = found
        return found[0]

    def put(self, key: str, thing: T, cost: int) -> None:
        """The newest stays, whatever it costs."""
        self._cost += cost - self._things.pop(key, (None, 0))[1]
        self._things[key] = thing, cost
        while len(self._things) > 1 and (len(self._things) > self._most or self._cost > self._room):
            self._cost -= self._things.pop(next(iter(self._things)))[1]


class _Group:
    """The lines for one product token, of all its groups together (RFC 9309 2.2.1)."""

    def __init__(self) -> None:
        self.named = False
        # A dict is a set in order: the same rule a thousand times is one rule.
        self.rules: dict[str, None] = {}
        self.delay = 0.0
        self._patterns = 0

    def add(self, field: str, value: str) -> None:
        if field == "crawl-delay":
            if _SECONDS.fullmatch(value):
                self.delay = max(self.delay, min(float(value), MAX_DELAY))
        elif value:
            wild = "*" in value
            if wild and self._patterns >= MAX_PATTERNS:
                return
            self._patterns += wild
            self.rules[f"{field}: {_comparable(value)}"] = None


class Robots:
    """
    The rules of a run's origins.

    An origin's URLs wait until it is known. Its waiting URLs should be judged as soon as it is learned, and each only
    once: among very many origins it may be forgotten before the last of them has gone.
    """

    def __init__(self, user_agent: str) -> None:
        self.token = product_token(user_agent)
        self._known: _Shelf[_Rules] = _Shelf(ORIGINS, MEMORY)
        # By the rules' text: thousands of origins have the file that came with their software.
        self._parsers: _Shelf[Protego] = _Shelf(ORIGINS, MEMORY)

    def request(self, origin: Origin) -> Request:
        """An origin's robots.txt as an entry that is none: its index is -1, and it gets no record."""
        url = Url(origin, PATH)
        return Request(-1, str(url), url)

    def learn(self, origin: Origin, result: Result, now: float = 0.0) -> None:
        """
        What came of an origin's `request`, at a clock's time of seconds.

        The status decides (RFC 9309 2.3.1): 2xx has the rules; 3xx (too many redirects, or one that leads nowhere) and
        4xx allow everything; 429, 5xx and a failure refuse everything, unless older rules are known, which then stay.
        """
        rules = self._read(result, now)
        known = self._known.peek(origin.text)
        if rules.closed and known is not None and not known.closed:
            rules = known._replace(learned=now)
        self._known.put(origin.text, rules, _ORIGIN_COST + len(rules.text))

    def knows(self, origin: Origin, now: float = 0.0) -> bool:
        """Whether an origin's URLs can be judged. `now` is of the clock that `learn` was told: rules get old."""
        rules = self._known.peek(origin.text)
        return rules is not None and now - rules.learned <= MAX_AGE

    def refusal(self, url: Url) -> Error | None:
        """Why a URL must not be fetched; None if it may be, or if nothing is known of its origin."""
        rules = self._known.get(url.origin.text)
        if rules is None or url.target.partition("?")[0] == PATH:
            return None
        if not rules.text:
            return rules.refusal if rules.closed else None
        # The host does not matter to the rules, and an odd one need not be read again.
        allowed = self._parser(rules.text).can_fetch(f"http://h{_comparable(url.target)}", "*")
        return None if allowed else rules.refusal

    def delay(self, origin: Origin) -> float:
        """Seconds from one request to the origin to the next, 0.0 for none. At most `MAX_DELAY`."""
        rules = self._known.get(origin.text)
        return rules.delay if rules is not None else 0.0

    def _parser(self, text: str) -> Protego:
        parser = self._parsers.get(text)
        if parser is None:
            # Imported here, so that only who asks for it pays for it.
            from protego import Protego

            parser = Protego.parse(f"user-agent: *\n{text}")
            cost = _RULE_COST * (text.count("\n") + 1) + _STAR_COST * text.count("*") + 3 * len(text)
            self._parsers.put(text, parser, _PARSER_COST + cost)
        return parser

    def _read(self, result: Result, now: float) -> _Rules:
        hop, status = result.hop, result.status
        error = result.error
        if error is not None and error.kind is ErrorKind.BLOCKED and status is None:
            # Its URLs are blocked for the same reason, which is the better word for it.
            return _Rules("", True, error, 0.0, now)
        if hop is None or status is None:
            return _closed(f"{error.kind}: {error.message}" if error is not None else "no reply", now)
        if status == 429 or status >= 500:
            return _closed(f"status {status}", now)
        if error is not None and error.kind is ErrorKind.HOST_DOWN:
            # A redirect to where nobody is.
            return _closed(f"{error.kind}: {error.message}", now)
        body = (hop.body or b"") if status < 300 else b""
        # A body that was cut is whole enough if all that is read of it came before.
        if error is not None and status < 300 and len(body) < MAX_BYTES:
            return _closed(f"{error.kind}: {error.message}", now)
        group = _group(_lines(body), self.token)
        whom = f" to {self.token}" if group.named else ""
        refusal = Error(ErrorKind.ROBOTS, f"robots.txt disallows it{whom}")
        return _Rules("\n".join(group.rules), False, refusal, group.delay, now)


def product_token(user_agent: str) -> str:
    """
    The name by which a robots.txt calls us, in lower case; empty if the User-Agent begins with none.

    That is the first product: `afetch/1.2 (+x)` is `afetch`. But many say Mozilla and mean what stands behind
    `compatible;`, and the groups are called after that: `Mozilla/5.0 (compatible; mybot/1.0)` is `mybot`.
    """
    name = _name(user_agent)
    match = _COMPATIBLE.search(user_agent) if name == "mozilla" else None
    return match[1].lower() if match is not None else name


def _closed(why: str, now: float) -> _Rules:
    message = f"robots.txt could not be had ({why}), and then nothing may be fetched (RFC 9309)"
    return _Rules("", True, Error(ErrorKind.ROBOTS, message), 0.0, now)


def _lines(body: bytes) -> list[str]:
    """The lines that are read, all ASCII: other bytes are percent-encoded, as rules are compared (RFC 9309 2.2.2)."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    if len(body) > MAX_BYTES:
        body = body[:MAX_BYTES]
        # Half a rule is another rule: the beginning of `Disallow: /private` forbids the whole site.
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r"), 0)]
    return [
        _ODD_BYTES.sub(_percent, line.replace(b"\t", b" ")).decode("ascii")
        for line in _LINE_ENDS.split(body)
        if len(line) <= MAX_LINE
    ]


def _percent(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def _group(lines: list[str], token: str) -> _Group:
    """The group for a product token: its own, or else everybody's."""
    groups = {token: _Group(), "*": _Group()}
    current: set[str] = set()
    heading = False
    for line in lines:
        field, value = _field(line)
        if field == "user-agent":
            if not heading:
                current.clear()
            heading = True
            # A group for nobody in particular is called `*`, and that is no agent's name.
            name = "*" if value.partition(" ")[0] == "*" else _name(value)
            if name in groups and name:
                current.add(name)
                groups[name].named = True
        elif field is not None:
            # Other lines, Sitemap above all, do not end a group's heading (RFC 9309 2.2.4).
            heading = False
            for name in current:
                groups[name].add(field, value)
    own = groups[token]
    if own.named:
        return own
    everybody = groups["*"]
    everybody.named = False
    return everybody


def _field(line: str) -> tuple[str | None, str]:
    """A line's field, or None for any that we do not read, and its value."""
    line = line.partition("#")[0].strip()
    name, _, value = line.partition(":")
    field = _FIELDS.get(name.rstrip().lower())
    if field is None:
        # The colon is forgotten often enough that Google's parser does without.
        name, _, value = line.partition(" ")
        field = _FIELDS.get(name.lower())
    return field, value.strip()


def _name(text: str) -> str:
    """The name that a User-Agent or a group's line begins with, without version and comment, in lower case."""
    match = _TOKEN.match(text.strip())
    return match[0].rstrip("*").lower() if match is not None else ""


def _comparable(target: str) -> str:
    """
    A target or a pattern with the slashes of its query bare, as `?to=http%3A%2F%2Fa` is the same as `?to=http://a`.

    RFC 9309 2.2.2 has that example. In a path an encoded slash is another thing than a slash, and stays.
    """
    path, mark, query = target.partition("?")
    return f"{path}?{_SLASH.sub('/', query)}" if mark and "%" in query else target
