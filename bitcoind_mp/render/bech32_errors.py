"""Bech32 read as Core reads it: the encoding found by its checksum, and where the errors are if it is wrong.

btclib decodes valid addresses; it doesn't say *where* an invalid one goes wrong, which `validateaddress`
reports. The checksum is a BCH code over GF(32) whose roots are three consecutive powers of an element e of
GF(1024), so one or two wrong characters can be located from the three syndromes (BIP173, "Checksum design";
``LocateErrors`` in Core's ``src/bech32.cpp``).
"""

from dataclasses import dataclass

from btclib.bech32 import BECH32_1_CONST, BECH32_M_CONST

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_DIGIT = {character: i for i, character in enumerate(_CHARSET)}
_TAPS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_SIZE = 6
#: the longest Bech32 string that is an address (BIP173)
_LIMIT = 90
#: e has this order, and the code's roots are e**997, e**998 and e**999
_ORDER = 1023
_FIRST_ROOT = 997


@dataclass(frozen=True)
class Bech32:
    """A string whose checksum is right: ``modified`` for Bech32m, ``data`` its 5-bit symbols."""

    hrp: str
    data: list[int]
    modified: bool


def _gf1024() -> tuple[list[int], list[int]]:
    """Powers of e and their logarithms. An element a*e + b is the number a << 5 | b; e**2 = 9e + 23."""
    exp32, log32 = [1], [0] * 32
    for i in range(1, 31):
        value = exp32[-1] << 1
        exp32.append(value ^ 41 if value & 32 else value)  # modulo x**5 + x**3 + 1
        log32[exp32[-1]] = i

    def times(a: int, b: int) -> int:
        return exp32[(log32[a] + log32[b]) % 31] if a and b else 0

    exp, log = [1], [-1] * 1024
    log[1] = 0
    for i in range(1, _ORDER):
        high, low = exp[-1] >> 5, exp[-1] & 31
        exp.append((times(high, 9) ^ low) << 5 | times(high, 23))
        log[exp[-1]] = i
    return exp, log


_EXP, _LOG = _gf1024()


def _residue(hrp: str, values: list[int]) -> int:
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + values
    check = 1
    for value in expanded:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, tap in enumerate(_TAPS):
            if top >> bit & 1:
                check ^= tap
    return check


def _bad_characters(text: str) -> list[int]:
    """Where a character is out of range or its case differs from that of the first letter."""
    bad = []
    lower = upper = False
    for i, character in enumerate(text):
        if "a" <= character <= "z":
            if upper:
                bad.append(i)
            else:
                lower = True
        elif "A" <= character <= "Z":
            if lower:
                bad.append(i)
            else:
                upper = True
        elif not 33 <= ord(character) <= 126:
            bad.append(i)
    return bad


def decode(text: str) -> Bech32 | None:
    """Read a string of either encoding, None where it is none of them."""
    separator = text.rfind("1")
    if _bad_characters(text) or len(text) > _LIMIT or separator < 1 or separator + _CHECKSUM_SIZE >= len(text):
        return None
    values = [_DIGIT.get(c, -1) for c in text[separator + 1 :].lower()]
    if -1 in values:
        return None
    hrp = text[:separator].lower()
    residue = _residue(hrp, values)
    if residue not in (BECH32_1_CONST, BECH32_M_CONST):
        return None
    return Bech32(hrp, values[:-_CHECKSUM_SIZE], residue == BECH32_M_CONST)


def locate_errors(text: str) -> tuple[str, list[int]]:
    """Why a string is not Bech32, and at which positions, as far as can be told."""
    if len(text) > _LIMIT:
        return "Bech32 string too long", list(range(_LIMIT, len(text)))
    bad = _bad_characters(text)
    if bad:
        return "Invalid character or mixed case", bad
    separator = text.rfind("1")
    if separator == -1:
        return "Missing separator", []
    if separator == 0 or separator + _CHECKSUM_SIZE >= len(text):
        return "Invalid separator position", [separator]
    values = []
    for i, character in enumerate(text[separator + 1 :].lower(), separator + 1):
        if character not in _DIGIT:
            return "Invalid Base 32 character", [i]
        values.append(_DIGIT[character])
    residue = _residue(text[:separator].lower(), values)
    message, found = "Invalid checksum", list[int]()
    for name, constant in (("Bech32", BECH32_1_CONST), ("Bech32m", BECH32_M_CONST)):
        if residue == constant:
            return "", []
        positions = _error_positions(residue ^ constant, len(values))
        if not found or 0 < len(positions) < len(found):
            found = positions
            if found:
                message = f"Invalid {name} checksum"
    return message, [len(text) - 1 - position for position in found]


def _error_positions(residue: int, length: int) -> list[int]:
    """The one or two positions, counted from the right and largest first, that explain the residue."""
    s0, s1, s2 = (_syndrome(residue, root) for root in range(_FIRST_ROOT, _FIRST_ROOT + 3))
    l0, l1, l2 = _LOG[s0], _LOG[s1], _LOG[s2]
    if -1 not in (l0, l1, l2) and (2 * l1 - l2 - l0) % _ORDER == 0:
        # one error: s1/s0 = s2/s1 = e**position, and the error itself lies in GF(32)
        position = (l1 - l0) % _ORDER
        error = l0 + (_ORDER - _FIRST_ROOT) * position
        return [position] if position < length and error % 33 == 0 else []
    for first in range(length):
        a = s2 ^ _shifted(s1, first)
        b = s1 ^ _shifted(s0, first)
        if not a or not b:
            continue
        second = (_LOG[a] - _LOG[b]) % _ORDER
        if second >= length or second == first:
            continue
        c = s1 ^ _shifted(s0, second)
        if not c:
            continue
        inverse = _ORDER - _LOG[_EXP[first] ^ _EXP[second]]
        errors = (
            _LOG[b] + inverse + (_ORDER - _FIRST_ROOT) * second,
            _LOG[c] + inverse + (_ORDER - _FIRST_ROOT) * first,
        )
        if all(error % 33 == 0 for error in errors):
            return sorted((first, second), reverse=True)
    return []


def _syndrome(residue: int, root: int) -> int:
    """The residue, a polynomial of degree 5 over GF(32), at e**root."""
    value = 0
    for k in range(6):
        coefficient = residue >> 5 * k & 31
        if coefficient:
            value ^= _EXP[(_LOG[coefficient] + root * k) % _ORDER]
    return value


def _shifted(value: int, power: int) -> int:
    """value * e**power"""
    return _EXP[(_LOG[value] + power) % _ORDER] if value else 0
