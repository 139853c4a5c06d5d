"""
Owns what files are called: any URL becomes a safe name, no two of a list the same, the same ones in every run. Pure.

Names are given in the order of the input, when an entry is read, so they do not depend on which reply comes first. What
only the reply tells, its hash and its type, leaves a mark in the name, which `finished` fills in.

Safe is what Linux, macOS and Windows all take for a name and for nothing else, and what they take for two names: case
and Unicode's forms make no difference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import unquote_to_bytes

from fetcher.errors import UsageError
from fetcher.model import DEFAULT_PORTS, Origin, Request, Url
from fetcher.seen import Seen
from fetcher.sources.template import RowError, plain

LONGEST_PART = 200
"""Bytes of a part of a name as UTF-8, without extension and number: the systems' own limit is 255 for all."""

LONGEST = 500
"""Bytes of a name with its folders: macOS allows a path of 1,024, and some of it is where the folder is."""

LONGEST_EXTENSION = 10
"""Characters behind the dot of what is taken for an extension."""

INDEX = "index"
"""What a page is called whose URL ends with a slash."""

HASH_DIGITS = 32
SHA256_DIGITS = 64

TYPES = {
    "application/epub+zip": ".epub",
    "application/gzip": ".gz",
    "application/javascript": ".js",
    "application/json": ".json",
    "application/ld+json": ".jsonld",
    "application/msword": ".doc",
    "application/pdf": ".pdf",
    "application/postscript": ".ps",
    "application/rtf": ".rtf",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/wasm": ".wasm",
    "application/x-7z-compressed": ".7z",
    "application/x-bzip2": ".bz2",
    "application/x-gzip": ".gz",
    "application/x-javascript": ".js",
    "application/x-ndjson": ".ndjson",
    "application/x-tar": ".tar",
    "application/x-xz": ".xz",
    "application/x-zip-compressed": ".zip",
    "application/xhtml+xml": ".html",
    "application/xml": ".xml",
    "application/yaml": ".yaml",
    "application/zip": ".zip",
    "application/zstd": ".zst",
    "audio/flac": ".flac",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "audio/webm": ".weba",
    "audio/x-wav": ".wav",
    "font/otf": ".otf",
    "font/ttf": ".ttf",
    "font/woff": ".woff",
    "font/woff2": ".woff2",
    "image/avif": ".avif",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tiff",
    "image/vnd.microsoft.icon": ".ico",
    "image/webp": ".webp",
    "image/x-icon": ".ico",
    "text/calendar": ".ics",
    "text/css": ".css",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/javascript": ".js",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/tab-separated-values": ".tsv",
    "text/xml": ".xml",
    "video/mp4": ".mp4",
    "video/mpeg": ".mpg",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
}
"""Extensions by media type. Ours and not the system's, whose tables differ: names are to be the same everywhere."""

# Marks of what only the reply tells; no name has a control character.
_TYPE_MARK = "\x00"
_HASH_MARK = "\x01"

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIELD_TEXT = re.compile(r"(host|path|query|index|sha256|ext|stem|name|hash|extra\.[^:]+)(?::([1-9][0-9]?))?")
_FIELDS = "host, path, query, index, sha256, ext, stem, name, hash, extra.COLUMN"
_UNCUT = frozenset({"path", "ext"})

_RESERVED = r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)"
_IS_RESERVED = re.compile(rf"{_RESERVED}\s*(?:\..*)?", re.IGNORECASE)
_UNSAFE = re.compile(r'[<>:"/\\|?*]')

# Names that are safe as they are, as almost all are: nothing is left to do. With a slash behind each part.
_PLAIN = re.compile(
    rf"(?:(?!{_RESERVED}[./])[a-z0-9_+=@,-](?:[a-z0-9_+=@,.-]*[a-z0-9_+=@,-])?/)+", re.IGNORECASE | re.ASCII
)

_TAR = ".tar"
_DIGEST = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_MARKED = re.compile(rf"{_HASH_MARK}(\d\d)")

# What a hash is combined with for each kind of entry in the set, below `Namer`.
_KNOWN, _OPEN, _FOLDER = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9

FOLDERS = 65_536
"""Folders whose names are at hand, so that they are looked up once for many files."""


class NamingError(ValueError):
    """Why an entry has no name; a sentence fit for a record."""


class _Entry:
    """What an entry has for names; its hash when it is asked for, which may be twice."""

    __slots__ = ("_digest", "ext", "folders", "name", "query", "request", "stem", "url")

    def __init__(self, request: Request, url: Url) -> None:
        self.request = request
        self.url = url
        self._digest = ""
        path, _, self.query = url.target.partition("?")
        self.folders, _, name = path.rpartition("/")
        if not name:
            self.name, self.stem, self.ext = f"{INDEX}.html", INDEX, ""
            return
        self.name = name = _value(_decoded(name)) if "%" in name else name
        self.stem, self.ext = _split(name)

    @property
    def digest(self) -> str:
        """The hash of what is asked for."""
        if not self._digest:
            request, body = self.request, self.request.body
            data = b"" if body is None else body if isinstance(body, bytes) else repr(body).encode()
            text = f"{request.method} {self.url.origin.text}{self.url.target}\n".encode()
            self._digest = blake2b(text + data, digest_size=HASH_DIGITS // 2).hexdigest()
        return self._digest


class NameTemplate:
    """
    `{host}/{stem}{ext}`, read.

    The fields are `host` (with the port where that is not the scheme's own), `path` (with its folders), `name`,
    `stem`, `ext` (of its last part), `query`, `index` (`{index:6}` with zeros before it), `hash` (of method, URL and
    body), `sha256` (of the body, which makes one file of those that are alike) and `extra.COLUMN`. `{hash:2}` is the
    first two characters. Braces are doubled where they are meant.

    Raises:
        UsageError: It cannot be read, names a field that there is not, or leads out of the folder.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.by_type = False
        self.by_content = False
        if not text:
            raise UsageError("name is empty; write one such as '{host}/{path}'")
        parts: list[str | tuple[str, int]] = []
        end = 0
        for match in _FIELD.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            if match[1] is None and len(match[0]) == 1:
                raise UsageError(f"name {text!r}: a brace alone; double it where it is meant")
            parts.append(match[0][0] if match[1] is None else self._field(match[1], last=end == len(text)))
        parts.append(text[end:])
        self._parts = tuple(_spoken(part) if isinstance(part, str) else part for part in parts if part)
        self._check()
        self._made = tuple(part if isinstance(part, str) else _maker(*part) for part in self._parts)

    def fill(self, request: Request, url: Url) -> tuple[str, str | None]:
        """
        The name of a request's file and its extension, which is None where only the reply tells.

        Without `{ext}` in the template the extension is in the name. Folders are parted by slashes; what was encoded in
        the URL has been made safe, and nothing else.

        Raises:
            NamingError: It has not all that is asked for.
        """
        entry = _Entry(request, url)
        text = "".join([part if isinstance(part, str) else part(entry) for part in self._made])
        return text, (entry.ext or None) if self.by_type else ""

    def _field(self, text: str, *, last: bool) -> tuple[str, int]:
        match = _FIELD_TEXT.fullmatch(text)
        if match is None:
            raise UsageError(f"name {self._text!r}: no field {{{text}}}; there are {_FIELDS}")
        name, width = match[1], int(match[2] or 0)
        if width and name in _UNCUT:
            raise UsageError(f"name {self._text!r}: {{{name}}} cannot be cut; leave :{width} out")
        if name == "ext":
            if not last:
                raise UsageError(f"name {self._text!r}: {{ext}} belongs at the end, where the systems look for it")
            self.by_type = True
        if name == "sha256":
            self.by_content = True
        return name, min(width, SHA256_DIGITS)

    def _check(self) -> None:
        text = self._text
        shown = "".join(part if isinstance(part, str) else "x" for part in self._parts)
        if shown.startswith("/") or any(part in {"", ".", ".."} for part in shown.split("/")):
            raise UsageError(f"name {text!r}: leads nowhere in the folder; write parts with one slash between them")
        last = [part for part in self._parts if not isinstance(part, str) or "/" in part]
        if self.by_content:
            while last and not isinstance(last[-1], str):
                if last.pop() in {("sha256", 0), ("sha256", SHA256_DIGITS)}:
                    return
            raise UsageError(
                f"name {text!r}: a file that goes by its content needs all of {{sha256}} in the last part, "
                "or two contents would be one file"
            )


class Namer:
    """
    Gives the entries of a list their names.

    Two that would be one on any system get numbers, `-2` and on, in the order of the input; so does a folder that would
    be a file. What is kept of each name is some 20 bytes, or 40 with `{ext}`.

    Args:
        template: What names are made of where a row says none.
    """

    def __init__(self, template: str) -> None:
        self._template = NameTemplate(template)
        self._most = LONGEST_PART - (SHA256_DIGITS if self._template.by_content else 0)
        # Of a name as it stands: its hash. Where types decide extensions, also of one without its extension: that there
        # is one, and that there may be one. Of a folder: that, and its name as though it were a file's.
        self._seen = Seen()
        # By what they would be called if nobody else were.
        self._folders: dict[str, str] = {}

    def name(self, request: Request, url: Url) -> str:
        """
        The name of the file of a request for a URL, parts with slashes between them, once `finished`.

        Raises:
            NamingError: It has not all that the template asks for.
        """
        by_type, by_content = self._template.by_type, self._template.by_content
        if request.save is None:
            text, ext = self._template.fill(request, url)
        else:
            text, ext = "/".join(_value(part) for part in re.split(r"[/\\]", request.save) if part), ""
            by_type = by_content = False
        if len(text) > self._most or not _PLAIN.fullmatch(text + "/"):
            text = self._safe(text, whole=not by_type)
        folder, _, stem = text.rpartition("/")
        if not by_type:
            stem, ext = _split(stem)
        if self._template.by_content:
            if not by_content:
                stem = _DIGEST.sub(lambda match: match[0][:-1], stem)
            # The same name is the same content, so neither files nor folders need be told apart.
            folder = _DIGEST.sub(lambda match: match[0][:-1], folder)
        if folder:
            folder = self._folders.get(folder) or self._folder(folder)
        if not by_content:
            stem = self._numbered(folder, stem, ext)
        return f"{folder}{stem}{_TYPE_MARK if ext is None else ext}"

    def _safe(self, text: str, *, whole: bool) -> str:
        """The same with safe parts, and not too long. It is the `whole` name, or its extension is yet to come."""
        *folders, last = text.split("/")
        ext = ""
        if whole:
            last, ext = _split(last)
        last = _safe_part(_UNSAFE.sub("_", last), self._most) + ext
        kept: list[str] = []
        left = LONGEST - len(last.encode())
        for folder in folders:
            part = _safe_part(_UNSAFE.sub("_", folder), self._most)
            left -= len(part.encode()) + 1
            if left < 0:
                break
            kept.append(part)
        return "/".join((*kept, last))

    def _folder(self, wanted: str) -> str:
        """The name of a folder that is no file's, with a slash behind it."""
        above, _, last = wanted.rpartition("/")
        above = (self._folders.get(above) or self._folder(above)) if above else ""
        name = above + last
        if not self._seen.has_hash(_hash(name) ^ _FOLDER):
            name += _number(lambda number: self._may_be_folder(above + last + number))
            if self._seen.add_hash(_hash(name) ^ _FOLDER):
                stem, ext = self._split(name)
                self._take(stem, ext)
        if len(self._folders) >= FOLDERS:
            self._folders.clear()
        self._folders[wanted] = found = f"{name}/"
        return found

    def _may_be_folder(self, name: str) -> bool:
        return self._seen.has_hash(_hash(name) ^ _FOLDER) or self._is_free(*self._split(name))

    def _split(self, name: str) -> tuple[str, str]:
        """A name's stem and extension, where they make a difference."""
        return _split_last(name) if self._template.by_type else (name, "")

    def _numbered(self, folder: str, stem: str, ext: str | None) -> str:
        """The stem, with a number if it needs one, of a file's name that nobody else has from now on."""
        before, last = "", ext
        if ext and not self._template.by_type:
            before, last = ext, ""
        elif ext is not None and len(ext) > 4 and ext[:4].lower() == _TAR:
            # Of `.tar.gz` only the last part may also come by the type.
            before, last = ext[:4], ext[4:]
        if self._take(f"{folder}{stem}{before}", last):
            return stem
        number = _number(lambda number: self._is_free(f"{folder}{stem}{number}{before}", last))
        self._take(f"{folder}{stem}{number}{before}", last)
        return stem + number

    def _is_free(self, stem: str, ext: str | None) -> bool:
        name, against, _ = self._marks(stem, ext)
        return not any(self._seen.has_hash(mark) for mark in (name, *against))

    def _take(self, stem: str, ext: str | None) -> bool:
        """Whether a name was free; it is taken from now on."""
        seen = self._seen
        name, against, left = self._marks(stem, ext)
        for mark in against:
            if seen.has_hash(mark):
                return False
        if not seen.add_hash(name):
            return False
        for mark in left:
            seen.add_hash(mark)
        return True

    def _marks(self, stem: str, ext: str | None) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """The hash of a name, what must not be there for it to be free, and what it leaves beside itself."""
        hash_ = _hash(stem)
        if not self._template.by_type:
            return hash_, (), ()
        if ext is not None:
            return hash_ ^ _hash_of_extension(ext), (hash_ ^ _OPEN,), (hash_ ^ _KNOWN,)
        # It may come to no extension, and have something behind its last dot all the same.
        before, last = _split_last(stem)
        if not last:
            return hash_, (hash_ ^ _KNOWN,), (hash_ ^ _OPEN,)
        known = _hash(before)
        return known ^ _hash_of_extension(last), (hash_ ^ _KNOWN, known ^ _OPEN), (hash_ ^ _OPEN, known ^ _KNOWN)


def finished(name: str, sha256: str, media_type: str | None) -> str:
    """
    A name with what only the reply tells.

    Args:
        sha256: Of the body, in hexadecimal; looked at only where `needs_hash` says so.
        media_type: The Content-Type without its parameters.
    """
    if name.endswith(_TYPE_MARK):
        name = name[:-1] + extension_of(media_type)
    return _MARKED.sub(lambda match: sha256[: int(match[1])], name) if _HASH_MARK in name else name


def shown_name(name: str) -> str:
    """A name as it stands before there is a reply, with the fields that are still open."""
    open_type = name.replace(_TYPE_MARK, "{ext}")
    return _MARKED.sub(lambda match: "{sha256}" if match[1] == "64" else f"{{sha256:{int(match[1])}}}", open_type)


def needs_hash(name: str) -> bool:
    """Whether the body's hash is a part of the name: then a file that is there already is the same."""
    return _HASH_MARK in name


def extension_of(media_type: str | None) -> str:
    """What files of a media type end with; nothing where that is not known."""
    if media_type is None:
        return ""
    known = TYPES.get(media_type)
    if known is None:
        known = ".json" if media_type.endswith("+json") else ".xml" if media_type.endswith("+xml") else ""
    return known


def _safe_part(text: str, most: int) -> str:
    """One part of a name, of safe characters, that every system takes for a name; of at most so many bytes."""
    text = unicodedata.normalize("NFC", text).strip(" ").rstrip(". ")
    if text.startswith("."):
        # Neither hidden, nor one that programs read unasked, nor one of our own temporary files.
        text = f"_{text[1:]}"
    if _IS_RESERVED.fullmatch(text):
        text = f"_{text}"
    if len(text.encode()) > most:
        text = text.encode()[:most].decode("utf-8", "ignore").rstrip(". ")
    return text or "_"


def _number(fits: Callable[[str], bool]) -> str:
    """Nothing if that fits, else a number that does: the least, unless somebody used higher ones before it."""
    if fits(""):
        return ""
    below, number = 1, 2
    # Of one URL that is in a list a million times the last is found as quickly as the second.
    while not fits(f"-{number}"):
        below, number = number, 2 * number
    while number - below > 1:
        middle = (below + number) // 2
        if fits(f"-{middle}"):
            number = middle
        else:
            below = middle
    return f"-{number}"


def _hash(text: str) -> int:
    """Of what systems that make no difference between letters' cases and forms take for the same name."""
    if text.isascii():
        folded = text.lower()
    else:
        # First to upper case: there is more that is one letter in that.
        upper = unicodedata.normalize("NFD", text).upper()
        folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", upper).casefold())
    return int.from_bytes(blake2b(folded.encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=1024)
def _hash_of_extension(text: str) -> int:
    return _hash(text) if text else 0


def _split(name: str) -> tuple[str, str]:
    """What is before a name's extension, and that with its dot, `.tar.gz` as well; it is letters and digits."""
    stem, ext = _split_last(name)
    if ext and stem[-4:].lower() == _TAR and stem[-5:-4] not in {"", ".", "/"}:
        return stem[:-4], stem[-4:] + ext
    return stem, ext


def _split_last(name: str) -> tuple[str, str]:
    """The same of the last dot only."""
    stem, _, ext = name.rpartition(".")
    # Some name ends with a dot or a slash: then there is nothing before the extension.
    if not stem or stem[-1] in "./" or not 0 < len(ext) <= LONGEST_EXTENSION:
        return name, ""
    return (stem, f".{ext}") if ext.isascii() and ext.isalnum() and not ext.isdigit() else (name, "")


def _spoken(text: str) -> str:
    """A template's own words."""
    return "/".join(map(_value, text.split("/")))


def _value(text: str) -> str:
    """A text without what no name may have, a slash included."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else _shown(character) for character in text)
    return _UNSAFE.sub("_", text)


def _shown(character: str) -> str:
    """In the place of one that cannot be printed: a stray byte as URLs have it."""
    code = ord(character)
    return f"%{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else "_"


def _decoded(text: str) -> str:
    """A part of a URL as people read it."""
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape") if "%" in text else text


@lru_cache(maxsize=8_192)
def _host_name(origin: Origin) -> str:
    port = "" if origin.port == DEFAULT_PORTS[origin.scheme] else f"_{origin.port}"
    return _value(f"{origin.host}{port}")


def _path(entry: _Entry, _width: int) -> str:
    folders = [_value(_decoded(part)) for part in entry.folders.split("/") if part]
    return "/".join((*folders, entry.name))


def _column(entry: _Entry, column: str, width: int) -> str:
    """The value of `extra.COLUMN`."""
    extra = entry.request.extra
    if extra is None or column not in extra:
        raise NamingError(f"no column {column!r}, which --name asks for")
    try:
        return _cut(_value(plain(column, extra[column])), width)
    except RowError as error:
        raise NamingError(f"{error}, where --name has it") from None


def _cut(text: str, width: int) -> str:
    return text[:width] if width else text


def _maker(name: str, width: int) -> Callable[[_Entry], str]:
    """What makes the text of a template's field."""
    if name not in _VALUES:
        column = name.partition(".")[2]
        return lambda entry: _column(entry, column, width)
    make = _VALUES[name]
    return lambda entry: make(entry, width)


_VALUES: dict[str, Callable[[_Entry, int], str]] = {
    "host": lambda entry, width: _cut(_host_name(entry.url.origin), width),
    "path": _path,
    "name": lambda entry, width: _cut(entry.name, width),
    "stem": lambda entry, width: _cut(entry.stem, width),
    "query": lambda entry, width: _cut(_value(_decoded(entry.query)), width),
    "index": lambda entry, width: f"{entry.request.index:0{width}}",
    "hash": lambda entry, width: entry.digest[: width or HASH_DIGITS],
    "sha256": lambda _, width: f"{_HASH_MARK}{width or SHA256_DIGITS:02}",
    "ext": lambda _, __: "",
}
