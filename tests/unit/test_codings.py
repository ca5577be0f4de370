"""Content codings that nobody asked for: which are undone, ignored or refused. No socket."""

from __future__ import annotations

import gzip
import zlib
from typing import Callable, List, Tuple

import pytest
import responses

from chatgpt4online import Client, ProtocolError
from chatgpt4online._http.framing import inflater_for
from chatgpt4online._protocol import routes

SITE = "https://example.com"
ROOT = SITE + "/wp-json/"
STREAM = b'data: {"type":"end","data":"{\\"success\\":true,\\"reply\\":\\"Hello\\"}"}\n\n'
JSON = b'{"success":true,"reply":"Hello"}'

Compress = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    """Compress without a header, as some servers do for "deflate"."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def ask(coding: str, body: bytes) -> str:
    """Return the answer to a question whose response has this coding and body."""
    with responses.RequestsMock() as site:
        session = {"success": True, "restNonce": "0123456789"}
        site.add("POST", ROOT + routes.START_SESSION, json=session)
        site.add("POST", ROOT + routes.CHAT, body=body, headers={"Content-Encoding": coding})
        with Client(SITE) as client:
            return client.chat("Hi")


UNDONE: List[Tuple[str, Compress]] = [
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity, gzip", gzip.compress),
    ("identity", bytes),
    ("none", bytes),
    ("utf-8", bytes),
]


@pytest.mark.parametrize(("coding", "compress"), UNDONE)
@pytest.mark.parametrize("body", [STREAM, JSON])
def test_codings(coding: str, compress: Compress, body: bytes) -> None:
    """One layer of compression is undone; what is not a compression changes nothing."""
    assert ask(coding, compress(body)) == "Hello"


@pytest.mark.parametrize("coding", ["", "identity", "none", "utf-8", "x-secret", "binary, utf-8"])
def test_codings_that_change_nothing(coding: str) -> None:
    """A name that is not a registered coding is ignored."""
    assert inflater_for(coding) is None


@pytest.mark.parametrize(
    ("coding", "shown"),
    [
        ("br", "br"),
        ("zstd", "zstd"),
        ("compress", "compress"),
        ("gzip, gzip", "gzip, gzip"),
        ("gzip, br", "gzip, br"),
        ("zstd," * 100, "zstd," * 8),
    ],
)
def test_refused_codings(coding: str, shown: str) -> None:
    """Any other coding, or two layers, is an error that names them."""
    with pytest.raises(ProtocolError) as caught:
        inflater_for(coding)
    assert f"has the content coding {shown!r}" in str(caught.value)


def test_two_layers_under_one_name() -> None:
    """What is compressed twice under one name is not decompressed twice."""
    with pytest.raises(ProtocolError, match="unexpected response, not from AI Engine"):
        ask("gzip", gzip.compress(gzip.compress(STREAM)))


def test_broken_compression() -> None:
    """Bytes that are not what their coding says are an error."""
    with pytest.raises(ProtocolError, match="the compression of the answer is broken"):
        ask("gzip", STREAM)


def test_cut_compression() -> None:
    """A compressed answer that is cut anywhere is never returned as if it were complete."""
    body = gzip.compress(STREAM)
    for size in range(len(body) - 9):
        with pytest.raises(ProtocolError):
            ask("gzip", body[:size])
