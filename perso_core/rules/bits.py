"""Whole numbers as sets of bits: one for each rule, or condition, by its position."""

from __future__ import annotations

# The positions of the set bits of each byte.
_BITS_OF = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
# Where more bits than these are set, the others are found byte by byte.
_MANY = 24


def bits_of(mask: int) -> list[int]:
    """The positions of the set bits, lowest first."""
    found: list[int] = []
    # The highest first: what is left gets shorter each time.
    while mask:
        if len(found) == _MANY:
            rest = _by_bytes(mask.to_bytes((mask.bit_length() + 7) // 8, "little"))
            found.reverse()
            return rest + found
        place = mask.bit_length() - 1
        found.append(place)
        mask ^= 1 << place
    found.reverse()
    return found


def _by_bytes(octets: bytes) -> list[int]:
    found: list[int] = []
    for place in range(len(octets)):
        if octets[place]:
            found += [8 * place + bit for bit in _BITS_OF[octets[place]]]
    return found


def lowest_bits(count: int) -> int:
    """So many bits. Where it stands, `1 << len(…)` would be C's once it is compiled: of 64 bits."""
    return (1 << count) - 1
