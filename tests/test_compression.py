"""What compression is asked for, what comes of it, and bombs, from the command line."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest

from fetcher.client.codings import BombError, decoder_for
from fetcher.errors import ErrorKind
from tests.conftest import Afetch, MakeNginx
from tests.peaks import peak_of
from tests.servers import Httpbin, Site

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14 has it
except ImportError:
    from backports import zstd

MIB = 1024 * 1024

FAR = 10 * 1024
"""MiB of zeros in a bomb."""


def one(afetch: Afetch, url: str, *options: str) -> dict[str, Any]:
    """The record of a URL."""
    [record] = afetch("--json", *options, url).records
    return record


def gzip_bomb() -> bytes:
    """Ten gigabytes as gzip; the check sum is wrong, but nobody should come that far."""
    squeezer = zlib.compressobj(9, wbits=-15)
    # Behind a full flush nothing refers to what was before, so the block may stand again and again.
    block = squeezer.compress(bytes(MIB)) + squeezer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + block * FAR + squeezer.flush() + bytes(8)


def zstd_bomb() -> bytes:
    """Ten gigabytes as zstd, in frames of 64 MiB."""
    frame: bytes = zstd.compress(bytes(64 * MIB), 3)
    return frame * (FAR // 64)


def brotli_bomb() -> bytes:
    """A gigabyte as br, whose streams cannot be put together of parts."""
    squeezer = brotli.Compressor(quality=1)
    return bytes(b"".join([squeezer.process(bytes(MIB)) for _ in range(1024)]) + squeezer.finish())


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": gzip_bomb,
    "zstd": zstd_bomb,
    "br": brotli_bomb,
    "gzip, gzip": lambda: gzip.compress(gzip_bomb()),
    "zstd, zstd": lambda: zstd.compress(zstd_bomb()),
    "zstd, gzip, br": lambda: brotli.compress(gzip.compress(zstd_bomb())),
}


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_is_stopped_before_memory_is(afetch: Afetch, site: Site, coding: str) -> None:
    """Without any limit of size a bomb is too-large after its first segment, and the message names --max-ratio."""
    bomb = BOMBS[coding]()
    url = site.page(bomb, headers={"Content-Encoding": coding})

    record, peak = peak_of(afetch, "--max-size", "0", "-r", "0", url)

    assert record["error"] == {
        "kind": "too-large",
        "message": "more than 1,000 times what arrived; allow more with --max-ratio",
    }
    assert record["body"] is None
    # At most a thousand times what one read brings.
    assert 50 * MIB <= record["bytes"] < 260 * MIB
    assert peak < 500 * MIB


def test_a_bomb_that_comes_to_nothing_is_stopped_too() -> None:
    """What a coding makes is counted also where the next one makes nothing of it: skippable frames, for one."""
    skipped = b"\x50\x2a\x4d\x18" + (MIB).to_bytes(4, "little") + bytes(MIB)
    squeezer = zlib.compressobj(9, wbits=31)
    bomb = squeezer.compress(skipped * 60) + squeezer.flush()
    decoder = decoder_for([b"zstd, gzip"], 1_000)
    assert decoder is not None

    with pytest.raises(BombError):
        list(decoder.feed(bomb))


@pytest.mark.parametrize("options", [("--max-ratio", "0"), ("--max-ratio", "2000")])
def test_max_ratio_allows_more(afetch: Afetch, site: Site, options: tuple[str, ...]) -> None:
    """An honest file of zeros is fetched whole by whoever allows it; 0 is no limit."""
    zeros = bytes(60 * MIB)
    url = site.page(gzip.compress(zeros), headers={"Content-Encoding": "gzip"})

    record = one(afetch, url, "--max-size", "0", "--body", "none", *options)
    refused = one(afetch, url, "--max-size", "0", "--body", "none")

    assert record["ok"]
    assert record["sha256"] == hashlib.sha256(zeros).hexdigest()
    assert refused["error"]["kind"] == ErrorKind.TOO_LARGE


def test_a_small_body_may_be_of_any_ratio(afetch: Afetch, site: Site) -> None:
    """Forty megabytes of a table's equal cells are a few bytes in br, and no bomb."""
    table = b"<td>0</td>" * (4 * MIB)
    url = site.page(brotli.compress(table, quality=5), headers={"Content-Encoding": "br"})

    record = one(afetch, url, "--body", "none")

    assert record["ok"]
    assert record["bytes"] == len(table)
    assert record["bytes"] > 10_000 * record["wire_bytes"]


def test_a_window_larger_than_browsers_take_is_refused(afetch: Afetch, site: Site) -> None:
    """RFC 9659: nobody need hold more than 8 MiB to decode zstd."""
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.checksum_flag: 1}
    squeezer = zstd.ZstdCompressor(options=options)
    # In two parts, or the frame would say how small it is and have a window of that size.
    body = squeezer.compress(b"a" * MIB) + squeezer.compress(b"b" * MIB) + squeezer.flush()
    url = site.page(body, headers={"Content-Encoding": "zstd"})

    record = one(afetch, url)

    assert record["error"]["kind"] == ErrorKind.DECODE


@pytest.mark.parametrize(("path", "coding"), [("/gzip", "gzip"), ("/deflate", "deflate"), ("/brotli", "br")])
def test_httpbin_is_understood_in_every_coding(afetch: Afetch, httpbin: Httpbin, path: str, coding: str) -> None:
    """httpbin's own compressed pages come out as the JSON that they are."""
    record = one(afetch, httpbin.url(path))

    assert record["ok"]
    assert record["headers"]["content-encoding"] == [coding]
    assert record["body"]["method"] == "GET"


def test_several_codings_are_undone_in_reverse(afetch: Afetch, site: Site) -> None:
    """What is in four codings at once is decoded to its last byte."""
    text = b"once upon a time " * 1000
    body = zstd.compress(brotli.compress(gzip.compress(zlib.compress(text))))
    url = site.page(body, headers={"Content-Encoding": "deflate, gzip, br, zstd"})

    record = one(afetch, url)

    assert record["ok"]
    assert record["sha256"] == hashlib.sha256(text).hexdigest()
    assert record["wire_bytes"] == len(body)


def test_no_compress_asks_for_bodies_as_they_are(afetch: Afetch, nginx: MakeNginx) -> None:
    """nginx compresses for whoever takes it, and does not with --no-compress."""
    server = nginx("gzip on; gzip_types *; gzip_min_length 1;")
    (server.root / "page.html").write_bytes(b"<p>again</p>" * 1000)

    usual = one(afetch, server.url("/page.html"))
    plain = one(afetch, server.url("/page.html"), "--no-compress")

    assert usual["headers"]["content-encoding"] == ["gzip"]
    assert usual["wire_bytes"] < usual["bytes"] == 12_000
    assert "content-encoding" not in plain["headers"]
    assert plain["wire_bytes"] == plain["bytes"] == 12_000
    assert plain["sha256"] == usual["sha256"]


def test_no_compress_says_identity_and_decodes_what_comes(afetch: Afetch, site: Site) -> None:
    """A server that compresses all the same is understood; a header of the user's own wins over both."""
    url = site.page(gzip.compress(b"squeezed"), headers={"Content-Encoding": "gzip"}, path="/squeezed")

    record = one(afetch, url, "--no-compress")
    one(afetch, url)
    one(afetch, url, "--no-compress", "-H", "Accept-Encoding: br")

    assert record["body"] == "squeezed"
    asked = [dict(request.headers)["Accept-Encoding"] for request in site.log]
    assert asked == ["identity", "gzip, deflate, br, zstd", "br"]
