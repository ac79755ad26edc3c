"""Tell whether a TIFF's compression keeps every number: a changed id is another object."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

import tifffile

EXACT = frozenset({1, 2, 3, 4, 5, 8, 32771, 32773, 32946, 34661, 34715, 34925, 34926, 34933,
                   50000, 50013})  # fmt: skip
"""TIFF's numbers of compressions that never change a number: none, CCITT, LZW, deflate, PackBits,
JBIG, LZMA, PNG, zstd, PixTIFF."""


def changes_numbers(page: tifffile.TiffPage) -> bool:
    """Whether a page was, or may have been, compressed with loss.

    Of codecs that can do both, the header of the first strip or tile decides; one that can't be
    understood counts as lossy.
    """
    code = int(page.compression)
    if code in EXACT:
        return False
    if code not in _IS_LOSSLESS or not page.databytecounts:
        return True
    file = page.parent.filehandle
    file.seek(page.dataoffsets[0])
    try:
        return not _IS_LOSSLESS[code](file.read(page.databytecounts[0]))
    except (struct.error, IndexError, ValueError):
        return True


def _jpeg(data: bytes) -> bool:
    """JPEG: lossless where its frame is SOF3."""
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker == 0xC3
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return False


def _jpeg2000(data: bytes) -> bool:
    """JPEG 2000: lossless where its wavelet is the reversible one (5-3)."""
    at = data.index(b"\xff\x4f\xff\x51") + 2
    while data[at + 1] != 0x52:  # COD, the style of coding
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return data[at + 13] == 1


def _webp(data: bytes) -> bool:
    return b"VP8L" in data[:64] and b"VP8 " not in data[:64]


def _lerc(data: bytes) -> bool:
    """LERC: lossless for integers where no value may differ by more than a half."""
    if data[:6] != b"Lerc2 ":
        return False
    version: int
    (version,) = struct.unpack_from("<i", data, 6)
    # A checksum came with version 3, the number of values per pixel with 4, blobs with 6.
    counts = 6 + (version >= 3) + (version >= 4) + (version >= 6)
    at = 10 + 4 * counts + (4 if version >= 6 else 0)
    error: float
    (error,) = struct.unpack_from("<d", data, at)
    return 0 <= error <= 0.5


class _Bits:
    """Bits of a header, the lowest or the highest of each byte first."""

    def __init__(self, data: bytes, lowest_first: bool) -> None:
        order = slice(None, None, -1) if lowest_first else slice(None)
        self._bits = "".join(f"{byte:08b}"[order] for byte in data)
        self._lowest_first = lowest_first
        self._at = 0

    def take(self, count: int) -> int:
        """Return the next so many bits as a number."""
        taken = self._bits[self._at : self._at + count]
        if len(taken) < count:
            raise ValueError("the header ends too early")
        self._at += count
        return int(taken[::-1] if self._lowest_first else taken, 2) if count else 0


def _jpeg_xl(data: bytes) -> bool:
    """JPEG XL: lossless where the numbers are stored as they are, not as perceived colours."""
    if data[:2] != b"\xff\x0a":
        data = data[data.index(b"jxlc") + 4 :]
    bits = _Bits(data[2:66], lowest_first=True)

    def number(*choices: tuple[int, int]) -> int:
        width, offset = choices[bits.take(2)]
        return bits.take(width) + offset

    def side(is_small: int) -> int:
        return bits.take(5) if is_small else number((9, 1), (13, 1), (18, 1), (30, 1))

    is_small = bits.take(1)
    side(is_small)
    if bits.take(3) == 0:  # no fixed ratio of the sides
        side(is_small)
    if bits.take(1):  # everything by default: perceived colours
        return False
    if bits.take(1):  # orientation, previews, animations: no label image
        return False
    if bits.take(1):
        number((0, 32), (0, 16), (0, 24), (6, 1))
        bits.take(4)
    else:
        number((0, 8), (0, 10), (0, 12), (6, 1))
    bits.take(1)
    if number((0, 0), (0, 1), (4, 2), (12, 1)):  # further channels
        return False
    return bits.take(1) == 0


def _jpeg_xr(data: bytes) -> bool:
    """JPEG XR: lossless where nothing is scaled before it is rounded, and no bit is cut off."""
    bits = _Bits(data[data.index(b"WMPHOTO\0") + 8 :][:64], lowest_first=False)
    bits.take(8)
    is_tiled = bits.take(1)
    bits.take(7)
    is_short, _, is_windowed, is_trimmed = (bits.take(1) for _ in range(4))
    bits.take(4 + 8)
    bits.take(32 if is_short else 64)
    if is_tiled or is_windowed or is_trimmed:
        return False
    bits.take(3)
    return bits.take(1) == 0


_IS_LOSSLESS: Mapping[int, Callable[[bytes], bool]] = MappingProxyType(
    {
        6: _jpeg, 7: _jpeg, 33007: _jpeg,
        33003: _jpeg2000, 33004: _jpeg2000, 33005: _jpeg2000, 34712: _jpeg2000,
        34927: _webp, 50001: _webp,
        34887: _lerc,
        50002: _jpeg_xl, 52546: _jpeg_xl,
        22610: _jpeg_xr, 34934: _jpeg_xr,
    }
)  # fmt: skip
