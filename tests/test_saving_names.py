"""What files are called: safe on every system, one name for one entry, the same in every run."""

from __future__ import annotations

import random
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fetcher.errors import UsageError
from fetcher.model import Request
from fetcher.saving.config import DEFAULT_NAME, SavingConfig
from fetcher.saving.names import Namer, NameTemplate, NamingError, finished
from fetcher.urls import UrlError, parse_url

HOST = "http://example.com"

WINDOWS_OWN = {
    *("con", "prn", "aux", "nul", "conin$", "conout$"),
    *(f"{device}{number}" for device in ("com", "lpt") for number in "0123456789¹²³"),
}

TEMPLATES = (
    DEFAULT_NAME,
    "{host}/{path}",
    "{path}",
    "{name}",
    "{stem}{ext}",
    "{query}",
    "{query}{ext}",
    "{hash:1}/{name}",
    "{host:3}{query:2}{ext}",
    "{name}.{query}",
    "{path}/{name}",
    "{path}{ext}",
    "{{{index:4}}} {stem}.txt",
    "{sha256:2}/{sha256}{ext}",
    "{path}/{sha256}",
    "{sha256}",
    "{extra.a}/{extra.b}",
    "{extra.a}{ext}",
    "con/{extra.b}.",
)

TYPES = (None, "text/html", "application/json", "image/svg+xml", "application/geo+json", "x/y")


def request(url: str, index: int = 0, **more: Any) -> Request:
    return Request(index, url, parse_url(url)[0], **more)


def names(template: str, *requests: Request | str, types: tuple[str | None, ...] = ()) -> list[str]:
    """What the files of a list are called, when replies of these types came."""
    namer = Namer(template)
    made = []
    for index, entry in enumerate(requests):
        asked = entry if isinstance(entry, Request) else request(f"{HOST}{entry}", index)
        assert asked.url is not None
        kind = types[index % len(types)] if types else None
        made.append(finished(namer.name(asked, asked.url), f"{index:064x}", kind))
    return made


def same(name: str) -> str:
    """What systems make of a name that tell neither cases nor forms of letters apart."""
    folded = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", folded)


def check_safe(name: str) -> None:
    """Every part of a name is a name on Linux, macOS and Windows, and means nothing but that."""
    assert len(name.encode()) < 600
    for part in name.split("/"):
        assert part
        assert not part.startswith((".", " "))
        assert not part.endswith((".", " "))
        assert not re.search(r'[<>:"\\|?*]', part)
        assert part.isprintable()
        assert len(part.encode()) <= 255
        assert part.partition(".")[0].rstrip().lower() not in WINDOWS_OWN


words = st.one_of(
    st.text(max_size=12),
    st.text("ab.CON-%/\\: ~\0\u202e", max_size=8),
    st.sampled_from(
        (
            "..",
            ".",
            "CON",
            "nul.txt",
            "com1.tar.gz",
            "LPT¹",
            "a",
            "A",
            "a.html",
            "a.HTML",
            "a-2.html",
            "a-2",
            "a.tar.gz",
            "a.tar",
            "a ",
            "é",
            "e\u0301",
            "É",
            "ß",
            "SS",
            "ı",
            "İ",
            "%00",
            "%ff%fe",
            "%2e%2e%2f",
            "..%5c..",
            "C%3A",
            "x" * 300,
            "é" * 150,
            "0" * 64,
            f"{0:064x}",
            "index",
            "index.html",
        )
    ),
)

HOSTS = ("example.com", "EXAMPLE.com.", "[::1]", "127.0.0.1:8080", "con", "xn--bcher-kva.example")


@st.composite
def lists(draw: st.DrawFn, most: int) -> list[Request]:
    """Whatever an input may have, as far as it is a URL that can be sent; of few words, so that names meet."""
    few = draw(st.lists(words, min_size=1, max_size=3))
    some = st.sampled_from([*few, *(word.swapcase() for word in few), *(f"{word}.html" for word in few)])
    ways = st.lists(some, max_size=3).map("/".join)
    made = []
    for index in range(draw(st.integers(0, most))):
        host = draw(st.sampled_from(HOSTS[:1] * 9 + HOSTS[1:]))
        text = f"http://{host}/{draw(ways)}"
        if draw(st.booleans()):
            text += f"?{draw(some)}"
        try:
            url = parse_url(text)[0]
        except UrlError:
            url = parse_url(f"http://{host}/")[0]
        save = draw(st.none() | ways.filter(bool))
        extra = {"a": draw(some), "b": Raw(b"12")}
        made.append(Request(index, text, url, save=save, extra=extra))
    return made


@given(st.sampled_from(TEMPLATES), lists(10), st.permutations(TYPES))
def test_any_list_has_names_that_are_safe_distinct_and_stable(
    template: str, requests: list[Request], types: list[str | None]
) -> None:
    """Whatever the URLs and the types of their replies; no file is where a folder must be; once more it is the same."""
    first = names(template, *requests, types=tuple(types))
    again = names(template, *requests, types=tuple(types))

    assert first == again
    for name in first:
        check_safe(name)
    files = [same(name) for name in first]
    assert len(set(files)) == len(files)
    folders = {"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
    assert not folders & set(files)


@given(st.sampled_from(TEMPLATES), lists(8), lists(3))
def test_a_list_that_has_grown_names_its_beginning_as_before(
    template: str, requests: list[Request], more: list[Request]
) -> None:
    """So a run that goes on finds the files of the one before."""
    before = names(template, *requests)

    after = names(template, *requests, *more)

    assert after[: len(before)] == before


@given(st.text(max_size=30))
def test_any_template_is_refused_or_leads_to_safe_names(template: str) -> None:
    """There is no third."""
    try:
        NameTemplate(template)
    except UsageError:
        return
    [name] = names(template, request(f"{HOST}/a.b?c", extra={}))

    check_safe(name)


@pytest.mark.parametrize(
    ("template", "paths", "expected"),
    [
        (DEFAULT_NAME, ["/a/report.pdf"], ["example.com/10/report-10cc95cee7.pdf"]),
        ("{path}", ["/", "/a/b%20c.txt?q=1", "/a//b/"], ["index.html", "a/b c.txt", "a/b/index.html"]),
        ("{path}", ["/a", "/a/b", "/a/c", "/A", "/a"], ["a", "a-2/b", "a-2/c", "A-3", "a-4"]),
        ("{path}", ["/a/b", "/a", "/a/b"], ["a/b", "a-2", "a/b-2"]),
        ("{name}", ["/x.tar.gz", "/y/x.tar.gz"], ["x.tar.gz", "x-2.tar.gz"]),
        ("{stem}{ext}", ["/a.pdf", "/b/a.PDF", "/a", "/v1.2"], ["a.pdf", "a-2.PDF", "a-3.html", "v1.2.html"]),
        ("{stem}{ext}", ["/a", "/a.html", "/a.html"], ["a.html", "a-2.html", "a-3.html"]),
        ("{query}", ["/?id=1/2", "/"], ["id=1_2", "_"]),
        ("{index:3}-{hash:4}", ["/a", "/b"], ["000-ca32", "001-842f"]),
        ("{{x}}.{name:2}", ["/abc"], ["{x}.ab"]),
        ("{path}", ["/..%2f..%2fetc/passwd"], ["_._.._etc/passwd"]),
        ("{path}", ["/.ssh/%E2%80%AEx", "/nul.txt", "/com1", "/a%20."], ["_ssh/_x", "_nul.txt", "_com1", "a"]),
        ("{name}", ["/%ff.txt", "/%C3%BC", "/u%CC%88"], ["%FF.txt", "ü", "ü-2"]),
        ("{sha256:2}/{sha256}{ext}", ["/a"], [f"00/{0:064x}.html"]),
    ],
    ids=str,
)
def test_names_are_made_like_this(template: str, paths: list[str], expected: list[str]) -> None:
    """The rules, one by one; without an extension in the URL the reply's type says it."""
    made = names(template, *paths, types=("text/html",))

    assert made == expected


def test_a_part_that_is_too_long_keeps_its_extension() -> None:
    """It is cut before that, between characters."""
    [name, other] = names("{path}", f"/{'ü' * 150}.pdf", f"/{'ü' * 150}.pdf")

    assert name == f"{'ü' * 100}.pdf"
    assert other == f"{'ü' * 100}-2.pdf"


def test_folders_that_are_too_deep_are_left_out() -> None:
    """The name itself stays, whatever is before it."""
    [name] = names("{path}", "/" + "folder/" * 200 + "page.html")

    assert name.endswith("folder/page.html")
    assert len(name) <= 500


def test_an_entry_that_is_there_many_times_is_numbered_quickly() -> None:
    """The hundred-thousandth is found by halving, and not by counting up to it."""
    namer = Namer("{name}")
    asked = request(f"{HOST}/a")
    assert asked.url is not None
    looks = 0
    real = namer._is_free

    def count(stem: str, ext: str | None) -> bool:
        nonlocal looks
        looks += 1
        return real(stem, ext)

    namer._is_free = count  # type: ignore[method-assign]
    made = [namer.name(asked, asked.url) for _ in range(2_000)]

    assert made[:3] == ["a", "a-2", "a-3"]
    assert len(set(made)) == 2_000
    assert looks < 2_000 * 25


def test_a_row_names_its_file_itself() -> None:
    """It is made safe as all are, and counts among the others."""
    made = names(
        "{name}",
        request(f"{HOST}/x", save="../../etc/passwd"),
        request(f"{HOST}/x", save="/C:\\Users\\me"),
        request(f"{HOST}/x", save="x"),
        "/x",
    )

    assert made == ["_/_/etc/passwd", "C_/Users/me", "x", "x-2"]


def test_a_name_that_may_get_an_extension_may_have_one_already() -> None:
    """A column with a dot, before a type that nobody knows yet."""
    entries = [request(f"{HOST}/", extra={"a": name}) for name in ("0", "0.html", "0.html")]

    made = names("{extra.a}{ext}", *entries, types=("text/html", None, None))

    assert made == ["0.html", "0.html-2", "0.html-3"]


def test_a_folder_of_a_row_is_no_file_of_another() -> None:
    """Whatever extension the file has, with types in names and without."""
    for template in ("{path}", "{stem}{ext}"):
        made = names(template, "/index.html", request(f"{HOST}/x", save="INDEX.HTML/0"))

        assert made == ["index.html", "INDEX.HTML-2/0"]


def test_columns_are_in_names_and_lead_into_no_folder() -> None:
    """A number is as it was spelled."""
    extra = {"id": Raw(b"1.50"), "kind": Raw(b'"a/b"'), "text": "c"}

    made = names("{extra.kind}/{extra.id}-{extra.text}", request(HOST, extra=extra))

    assert made == ["a_b/1.50-c"]


@pytest.mark.parametrize("extra", [None, {}, {"id": Raw(b"[1]")}])
def test_a_row_without_the_column_has_no_name(extra: dict[str, Any] | None) -> None:
    """Nor one whose value is none of a name's."""
    with pytest.raises(NamingError, match="'id'"):
        names("{extra.id}", request(HOST, extra=extra))


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("", "empty"),
        ("/etc/{name}", "leads nowhere"),
        ("../{name}", "leads nowhere"),
        ("{host}//{name}", "leads nowhere"),
        ("{host}/", "leads nowhere"),
        ("{hots}", "no field {hots}; there are host"),
        ("{name", "brace alone"),
        ("{name}}", "brace alone"),
        ("{ext}{name}", "belongs at the end"),
        ("{path:3}", "cannot be cut"),
        ("{sha256:8}", "needs all of {sha256}"),
        ("{sha256}/{name}", "needs all of {sha256}"),
    ],
)
def test_a_template_that_cannot_be_is_refused(template: str, complaint: str) -> None:
    """Before anything is fetched."""
    with pytest.raises(UsageError, match=re.escape(complaint)):
        SavingConfig(save="files", save_name=template)


def test_many_names_take_little_memory_each() -> None:
    """Two entries of some 20 bytes in the set, where types decide extensions; no name is kept as text."""
    namer = Namer("{index}{ext}")
    chance = random.Random(1)

    for index in range(3_000):
        asked = request(f"{HOST}/{chance.randrange(10)}", index)
        assert asked.url is not None
        namer.name(asked, asked.url)

    assert len(namer._seen) == 2 * 3_000
    assert not namer._folders
