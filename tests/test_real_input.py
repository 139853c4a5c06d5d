"""
A list that nobody here wrote: every file of the Debian Administrator's Handbook in all its languages, thousands of
them, served by nginx and fetched with the real command.

The package is downloaded as apt is configured and unpacked, never installed. Where the variable AFETCH_TEST_PAGES names
a folder, the files in that are fetched instead, and nothing is downloaded. The download is kept in pytest's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conftest import Afetch, MakeNginx, missing
from tests.servers import Authority, Nginx

PACKAGE = "debian-handbook"

VARIABLE = "AFETCH_TEST_PAGES"

DOWNLOAD = 180.0
"""Seconds that a download of some 35 MB may take."""

MANY = 3000
"""Fewer pages than the package ever had are no real input."""

ODD_NAMES = ("two words.html", "straße.html", "日本 語.html", "100% sure.html", "plus+and&.html", "a;b=c,d.html")
"""Names that the handbook's authors avoided, and others do not."""


@pytest.fixture(scope="session")
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the package has under its documentation, and some odd names beside it."""
    own = os.environ.get(VARIABLE)
    folder = tmp_path_factory.mktemp("pages")
    if own is not None:
        shutil.copytree(own, folder / "all")
    else:
        cache = request.config.cache
        _unpack(cache.mkdir(PACKAGE) if cache is not None else folder, folder / "all")
    some_page = next((folder / "all").rglob("*.html"))
    for name in ODD_NAMES:
        shutil.copy(some_page, folder / "all" / name)
    return folder / "all"


def _unpack(downloads: Path, target: Path) -> None:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            missing(program)
    # What is there already is only checked, not fetched again.
    try:
        done = subprocess.run(
            ["apt-get", "-q", "download", PACKAGE],
            cwd=downloads,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DOWNLOAD,
            check=False,
        )
    except subprocess.TimeoutExpired:
        missing(f"{PACKAGE} (its download took longer than {DOWNLOAD:g} s)")
    archives = sorted(downloads.glob(f"{PACKAGE}_*.deb"), key=lambda path: path.stat().st_mtime)
    if done.returncode or not archives:
        missing(f"{PACKAGE} (its download failed: {done.stdout.decode(errors='replace').strip()[-300:]})")
    subprocess.run(["dpkg-deb", "-x", archives[-1], target], check=True)


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, nginx: MakeNginx, authority: Authority, pages: Path) -> Nginx:
    """nginx with all of it, in plain and over TLS, compressed as servers compress text."""
    packed = "gzip on; gzip_types text/css application/javascript image/svg+xml;"
    if request.param == "http":
        return nginx(packed, root=pages)
    certificate = f"ssl_certificate {authority.cert_file}; ssl_certificate_key {authority.key_file};"
    return nginx(packed + certificate, root=pages, tls=True)


def test_every_page_arrives_as_it_is_on_disk(afetch: Afetch, server: Nginx, pages: Path, authority: Authority) -> None:
    """One record for each of thousands of files, each with the file's size and hash; the status is 0."""
    files = [path.relative_to(pages).as_posix() for path in sorted(pages.rglob("*")) if path.is_file()]
    # As a person would write such a list: by name, or encoded. A name with % in it can only be encoded.
    written = [quote(name) if number % 2 or "%" in name else name for number, name in enumerate(files)]
    encoded_too = [quote(name, safe="/") for name in ODD_NAMES]
    (afetch.folder / "pages.txt").write_text("# the handbook\n" + "\n".join([*written, *encoded_too]) + "\n")

    done = afetch(
        *("pages.txt", "--base-url", server.url("/"), "--cacert", authority.ca_file),
        *("--body", "none", "-o", "pages.jsonl", "--concurrency", "20", "--timeout", "60"),
        timeout=240,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    records = [json.loads(line) for line in (afetch.folder / "pages.jsonl").read_text().splitlines()]
    entries = [*files, *ODD_NAMES]
    assert sorted(record["index"] for record in records) == list(range(len(entries)))
    assert len(entries) > MANY or VARIABLE in os.environ
    wrong = []
    for record in records:
        content = (pages / entries[record["index"]]).read_bytes()
        expected = (True, 200, len(content), hashlib.sha256(content).hexdigest())
        if (record["ok"], record["status"], record["bytes"], record["sha256"]) != expected:
            wrong.append(record["url"])
    assert wrong == []
