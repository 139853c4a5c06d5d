"""Content codings: what was applied is undone, however it arrives, and a bomb does not go off."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetcher.client.codings import DECODERS, MAX_GZIP_HEADER, PIECE, CodingError, decoder_for
from fetcher.errors import ErrorKind
from tests.reading import cut_at, in_pieces, read

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14 has it
except ImportError:
    from backports import zstd

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    """The stream without a header."""
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


ENCODERS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"x-gzip", gzip.compress),
    "zlib": (b"deflate", zlib.compress),
    "raw deflate": (b"deflate", raw_deflate),
    "br": (b"br", brotli.compress),
    "zstd": (b"zstd", zstd.compress),
    "zlib called gzip": (b"gzip", zlib.compress),
    "gzip called deflate": (b"deflate", gzip.compress),
}

every_encoder = pytest.mark.parametrize("encoder", ENCODERS)


def decoded(label: bytes, pieces: list[bytes]) -> bytes:
    """What becomes of a body in these pieces."""
    decoder = decoder_for([label])
    assert decoder is not None
    body = b"".join(piece for data in pieces for piece in decoder.feed(data))
    decoder.finish()
    return body


def test_every_decoder_is_tried() -> None:
    """A coding that is new among the decoders is new here."""
    assert {label for label, _ in ENCODERS.values()} == set(DECODERS)


@every_encoder
@given(body=st.binary(max_size=3000), places=st.lists(st.integers(0, 3000), max_size=10))
@settings(max_examples=60, deadline=None)
def test_what_was_applied_is_undone(encoder: str, body: bytes, places: list[int]) -> None:
    """Wherever the network cuts it."""
    label, encode = ENCODERS[encoder]

    assert decoded(label, cut_at(encode(body), places)) == body


@every_encoder
@given(body=st.binary(min_size=1, max_size=3000), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_stream_that_ends_early_gives_what_it_has_and_says_so(encoder: str, body: bytes, data: st.DataObject) -> None:
    """Unless only the check sum is missing, whose absence harms nobody."""
    label, encode = ENCODERS[encoder]
    coded = encode(body)
    cut = data.draw(st.integers(1, len(coded) - 1))
    decoder = decoder_for([label])
    assert decoder is not None

    kept = b"".join(decoder.feed(coded[:cut]))

    assert body.startswith(kept)
    if kept != body:
        with pytest.raises(CodingError, match="ends early"):
            decoder.finish()


@every_encoder
@given(body=st.binary(min_size=1, max_size=500), rubbish=st.binary(max_size=100), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_stream_ends_in_a_coding_error_or_a_body(
    encoder: str, body: bytes, rubbish: bytes, data: st.DataObject
) -> None:
    """Nothing else comes out, and cutting it makes no difference to what comes before the damage."""
    label, encode = ENCODERS[encoder]
    coded = encode(body)
    place = data.draw(st.integers(0, len(coded)))
    damaged = coded[:place] + rubbish + coded[place + len(rubbish) :]

    outcomes = []
    for pieces in ([damaged], in_pieces(damaged, 1)):
        decoder = decoder_for([label])
        assert decoder is not None
        kept: list[bytes] = []
        broken = False
        try:
            for piece in pieces:
                kept.extend(decoder.feed(piece))
            decoder.finish()
        except CodingError:
            broken = True
        outcomes.append((b"".join(kept), broken))

    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("names", "encode"),
    [
        (b"gzip, br", lambda body: brotli.compress(gzip.compress(body))),
        (b"br, gzip", lambda body: gzip.compress(brotli.compress(body))),
        (b"deflate, zstd, gzip", lambda body: gzip.compress(zstd.compress(zlib.compress(body)))),
        (b"identity, gzip,, identity", gzip.compress),
        (b"GZIP;q=1", gzip.compress),
    ],
)
def test_stacked_codings_are_undone_last_first(names: bytes, encode: Callable[[bytes], bytes]) -> None:
    """In the reverse of the order in which they were applied (RFC 9110 8.4)."""
    body = bytes(range(256)) * 40

    assert decoded(names, in_pieces(encode(body), 100)) == body


@pytest.mark.parametrize("label", [b"", b"identity", b"utf-8", b"none", b"binary", b"compress", b"chunked"])
def test_labels_that_say_nothing_leave_the_body_alone(label: bytes) -> None:
    """Identity, and what nobody knows."""
    assert decoder_for([label]) is None


def test_more_codings_than_anyone_applies_are_refused() -> None:
    """Each multiplies the work; curl stops at five, too."""
    with pytest.raises(CodingError, match="6 codings"):
        decoder_for([b"gzip, gzip, gzip", b"gzip, gzip, gzip"])


def test_a_gzip_header_that_does_not_end_is_refused() -> None:
    """A name without its end is not kept for ever."""
    decoder = decoder_for([b"gzip"])
    assert decoder is not None

    list(decoder.feed(b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (MAX_GZIP_HEADER - 10)))
    with pytest.raises(CodingError, match="does not end"):
        list(decoder.feed(b"n"))


@every_encoder
def test_pieces_are_of_a_size_that_can_be_counted(encoder: str) -> None:
    """However much a segment stands for, it comes in pieces of some `PIECE` bytes; br may double them."""
    label, encode = ENCODERS[encoder]
    decoder = decoder_for([label])
    assert decoder is not None

    sizes = [len(piece) for piece in decoder.feed(encode(bytes(10 * MIB)))]

    assert sum(sizes) == 10 * MIB
    assert max(sizes) <= (2 * PIECE if label == b"br" else PIECE)


def test_a_fault_deep_in_a_gzip_stream_costs_nothing_of_what_is_before_it() -> None:
    """Also where the segments are large and the data does not compress."""
    noise = random.Random(1).randbytes(300_000)
    squeezer = zlib.compressobj(wbits=-15)
    sound = squeezer.compress(noise) + squeezer.flush(zlib.Z_SYNC_FLUSH)
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"

    for size in (1_000, 65_536, 10_000_000):
        outcome = read([HEAD % b"gzip", *in_pieces(head + sound + b"\xff" * 100_000, size)])

        assert (outcome.kind, outcome.body) == (ErrorKind.DECODE, noise)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n\r\n"


def test_the_limit_counts_what_was_decoded() -> None:
    """A body that is small on the wire is still too large, and none of it is kept."""
    body = gzip.compress(bytes(3 * MIB))

    small = read([HEAD % b"gzip" + body], limit=3 * MIB)
    large = read([HEAD % b"gzip" + body], limit=3 * MIB - 1)

    assert (small.kind, len(small.body)) == (None, 3 * MIB)
    assert (large.kind, large.body) == (ErrorKind.TOO_LARGE, b"")


def deflated_zeros(size: int) -> bytes:
    """So many MiB of zeros as a bare stream, made of one block many times."""
    squeezer = zlib.compressobj(9, wbits=-15)
    block = squeezer.compress(bytes(MIB)) + squeezer.flush(zlib.Z_FULL_FLUSH)
    return block * size + squeezer.flush()


def gzipped_zeros(size: int) -> bytes:
    """As gzip; the check sum is wrong, but nobody should come that far."""
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + deflated_zeros(size) + bytes(8)


def brotli_zeros(size: int) -> bytes:
    """As br, fed to the compressor one MiB after the other."""
    squeezer = brotli.Compressor(quality=1)
    return bytes(b"".join([squeezer.process(bytes(MIB)) for _ in range(size)]) + squeezer.finish())


def zstd_zeros(size: int) -> bytes:
    """As zstd, fed to the compressor one MiB after the other."""
    squeezer = zstd.ZstdCompressor(level=1)
    return bytes(b"".join([squeezer.compress(bytes(MIB)) for _ in range(size)]) + squeezer.flush())


BOMBS: dict[bytes, Callable[[], bytes]] = {
    b"gzip": lambda: gzipped_zeros(1024),
    b"deflate": lambda: deflated_zeros(1024),
    b"br": lambda: brotli_zeros(1024),
    b"zstd": lambda: zstd_zeros(1024),
    b"gzip, gzip": lambda: gzip.compress(gzipped_zeros(1024)),
    b"gzip, gzip, gzip": lambda: gzip.compress(gzip.compress(gzipped_zeros(1024))),
    b"gzip, br": lambda: brotli.compress(gzipped_zeros(1024), quality=5),
}

DEFUSE = """
import sys
from pathlib import Path
from tests.reading import in_pieces, read

def memory(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))

label, bomb = sys.argv[1].encode(), sys.stdin.buffer.read()
head = b"HTTP/1.1 200 OK\\r\\nContent-Encoding: " + label + b"\\r\\n\\r\\n"
read([head + bomb[:20]])
before = memory("VmRSS")
outcome = read([head, *in_pieces(bomb, 65536)], limit=2**20)
print(outcome.kind, memory("VmHWM") - before)
"""
"""What decodes a bomb in a process of its own, so that its memory is nobody else's."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its memory from /proc")
@pytest.mark.parametrize("label", BOMBS, ids=bytes.decode)
def test_a_bomb_of_a_gigabyte_does_not_go_off(label: bytes) -> None:
    """With a limit of 1 MiB it is `too-large` as soon as that much came out, and takes less than 30 MB to find out."""
    bomb = BOMBS[label]()

    done = subprocess.run(
        [sys.executable, "-c", DEFUSE, label.decode()],
        cwd=Path(__file__).parent.parent,
        input=bomb,
        stdout=subprocess.PIPE,
        check=True,
    )

    kind, grown = done.stdout.decode().split()
    assert len(bomb) < 8 * MIB
    assert kind == ErrorKind.TOO_LARGE
    assert int(grown) < 30_000_000
