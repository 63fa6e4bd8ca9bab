"""Copies of a valid file with something wrong in them: bits, lengths, ends, values. Not a test file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 10**12, 2**63 - 1, 2**64 - 1)
HOSTILE = (
    *(
        "null",
        "[]",
        "{}",
        "-1",
        "0",
        "1e308",
        "-1e308",
        ".nan",
        ".inf",
        "true",
        "''",
        "[[1]]",
        "{a: {b: 1}}",
        "2020-13-45",
        "0x",
        "1_0",
        "~",
    ),
    *(
        "'../../x'",
        "'/dev/zero'",
        "'<script>'",
        "'{x}'",
        "'$(touch canary)'",
        "!!python/object/apply:os.mkdir [canary]",
        "&a [*a]",
        "*b",
    ),
    *(
        "9" * 5000,
        "x" * 10_000,
        "[" * 3000,
        "{a: " * 500,
        "\x00",
        "\t",
        "\ufeff",
        "é",
        "\ud7ff",
        "- ",
        "? ",
        "|",
        ">",
        "%YAML 9",
        "---",
    ),
)


@dataclass(frozen=True)
class Mutant:
    """A spoilt copy, how it was made, and in how many places it differs (-1: anywhere)."""

    content: bytes
    how: str
    places: int


def flips(good: bytes, rng: Rng) -> Mutant:
    """One to three bits."""
    content, count = bytearray(good), int(rng.integers(1, 4))
    for at in _places(good, rng, count):
        content[at] ^= 1 << int(rng.integers(0, 8))
    return Mutant(bytes(content), "bits", count)


def bytes_set(good: bytes, rng: Rng) -> Mutant:
    """One to three bytes."""
    content, count = bytearray(good), int(rng.integers(1, 4))
    for at in _places(good, rng, count):
        content[at] = int(rng.integers(0, 256))
    return Mutant(bytes(content), "bytes", count)


def number_set(good: bytes, rng: Rng) -> Mutant:
    """A length, count or address: two, four or eight bytes with an extreme value."""
    content, width = bytearray(good), int(rng.choice([2, 4, 8]))
    (at,) = _places(good, rng, 1)
    at = min(at, max(0, len(good) - width))
    value = int(EXTREMES[rng.integers(0, len(EXTREMES))]) & (2 ** (8 * width) - 1)
    content[at : at + width] = value.to_bytes(width, "little" if rng.random() < 0.8 else "big")[: len(good) - at]
    return Mutant(bytes(content), "number", 1)


def cut(good: bytes, rng: Rng) -> Mutant:
    """The end is missing."""
    return Mutant(good[: int(rng.integers(0, len(good)))], "cut", -1)


def zeros(good: bytes, rng: Rng) -> Mutant:
    """A block of zeros: a hole in a sparse or half-copied file."""
    at, size = int(rng.integers(0, len(good))), int(rng.integers(1, 1 + len(good) // 4))
    content = bytearray(good)
    content[at : at + size] = bytes(len(content[at : at + size]))
    return Mutant(bytes(content), "zeros", -1)


def moved(good: bytes, rng: Rng) -> Mutant:
    """A block inserted, left out, or copied over another."""
    size = int(rng.integers(1, 1 + len(good) // 8))
    a, b = (int(v) for v in rng.integers(0, len(good), 2))
    kind = int(rng.integers(0, 3))
    if kind == 0:
        content = good[:a] + good[b : b + size] + good[a:]
    elif kind == 1:
        content = good[:a] + good[a + size :]
    else:
        content = good[:a] + good[b : b + size] + good[a + size :]
    return Mutant(content, "block", -1)


BINARY: tuple[Callable[[bytes, Rng], Mutant], ...] = (flips, bytes_set, number_set, number_set, cut, zeros, moved)


def binary(good: bytes, rng: Rng) -> Mutant:
    """Any of these."""
    return BINARY[int(rng.integers(0, len(BINARY)))](good, rng)


def text(good: bytes, rng: Rng) -> Mutant:
    """A line of YAML, JSON or CSV left out, doubled, moved, indented, or with another value; sometimes as bytes."""
    if rng.random() < 0.15:
        return binary(good, rng)
    lines = good.decode().split("\n")
    at = int(rng.integers(0, len(lines)))
    hostile = HOSTILE[int(rng.integers(0, len(HOSTILE)))]
    kind = int(rng.integers(0, 8))
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[int(rng.integers(0, len(lines)))])
    elif kind == 2:
        lines[at] = " " * int(rng.integers(1, 5)) + lines[at]
    elif kind == 3:
        lines.insert(at, hostile)
    elif kind == 4:
        cuts = int(rng.integers(0, len(lines[at]) + 1))
        lines[at] = lines[at][:cuts] + hostile + lines[at][cuts:]
    else:  # a value
        for sign in (": ", ", ", "[", ","):
            if sign in lines[at]:
                places = [i for i in range(len(lines[at])) if lines[at].startswith(sign, i)]
                begin = places[int(rng.integers(0, len(places)))] + len(sign)
                rest = lines[at][begin:]
                end = next((i for i, c in enumerate(rest) if c in ",]}"), len(rest))
                lines[at] = lines[at][:begin] + hostile + rest[end:]
                break
    return Mutant("\n".join(lines).encode("utf-8", "surrogatepass"), "text", -1)


def _places(good: bytes, rng: Rng, count: int) -> list[int]:
    """Half of them near the beginning or the end, where formats keep their structure."""
    found = []
    for _ in range(count):
        where = rng.random()
        near = min(len(good), 4096)
        at = (
            rng.integers(0, near)
            if where < 0.3
            else len(good) - 1 - rng.integers(0, near)
            if where < 0.5
            else rng.integers(0, len(good))
        )
        found.append(int(at))
    return found
