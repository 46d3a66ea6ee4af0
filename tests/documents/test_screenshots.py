"""The pictures of the documents are there, small, and shown with a text that tells what they show."""

import re
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]
PICTURES = sorted((ROOT / "doc" / "screenshots").iterdir())

#: An image: its alternative text and its path.
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+\.png)\)")

MAX_SIZE = 200_000
#: Palette images have one byte a pixel, or less.
PALETTE = 3


class Png(NamedTuple):
    """A PNG file: size [pixels], kind of its colours, and its pixels, still filtered."""

    width: int
    height: int
    color_type: int
    pixels: bytes


def read_png(path: Path) -> Png:
    """Read a PNG file to its end, as its specification has it: chunks with check sums."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: dict[bytes, bytes] = {}
    offset = 8
    while offset < len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        body = data[offset + 8 : offset + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, offset + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        chunks[kind] = chunks.get(kind, b"") + body
        offset += 12 + length
    assert kind == b"IEND"
    width, height, _, color_type = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    return Png(width, height, color_type, zlib.decompress(chunks[b"IDAT"]))


def list_images() -> list[tuple[str, Path]]:
    """List what the documents show: alternative text and file."""
    return [
        (text, (document.parent / target).resolve())
        for document in DOCUMENTS
        for text, target in IMAGE.findall(document.read_text(encoding="utf-8"))
    ]


def test_what_there_must_be() -> None:
    names = {path.stem for path in PICTURES}
    assert names >= {"demo", "monitor", "page", "stress"}
    assert len([name for name in names if name.startswith("site-")]) == 3


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_picture(picture: Path) -> None:
    assert picture.stat().st_size < MAX_SIZE
    png = read_png(picture)
    assert 800 <= png.width <= 1400
    assert 500 <= png.height <= 1500
    assert png.color_type == PALETTE
    # Something is to be seen.
    assert len(set(png.pixels)) > 16
    assert max(png.pixels.count(value) for value in set(png.pixels)) < 0.98 * len(png.pixels)


def test_each_is_shown_with_a_text() -> None:
    images = list_images()
    assert {path for _, path in images} == set(PICTURES)
    assert not [text for text, _ in images if len(text) < 20]
