"""A wallet's name as systemd writes it in the name of a unit, of a socket, of a credential (systemd.unit(5), "String
escaping"), so that ours are found by it."""

import re

_PLAIN = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_.")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})|(-)")
#: What stands before it in the name of a unit that serves one wallet.
PREFIX = "wallet@"
#: Bytes that a name may have there. A socket's path fits 107 (unix(7)): these, "wallet@" and ".sock", and what leads to
#: a directory whose own path is long (``/proc/self/fd/N/``).
LONGEST = 72
#: What the file with a wallet is called, in its directory.
WALLET_FILE = "wallet.sqlite"


def escaped(name: str) -> str:
    """What ``systemd-escape NAME`` prints, and ``%i`` stands for."""
    result = ""
    for place, character in enumerate(name):
        if character == "/":
            result += "-"
        elif character in _PLAIN and (place or character != "."):
            result += character
        else:
            result += "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
    return result


def unescaped(text: str) -> str:
    """The name of which `escaped` made that."""

    def plain(found: "re.Match[bytes]") -> bytes:
        return b"/" if found[2] else bytes.fromhex(found[1].decode())

    return _ESCAPED.sub(plain, text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def instance(name: str) -> str:
    """What stands for a wallet in the names of its unit and its files: `escaped`, or where that is too long its
    beginning and, after a ``~``, a digest of it."""
    text = escaped(name)
    if len(text) <= LONGEST:
        return text
    from hashlib import sha256

    return f"{text[: LONGEST - 25]}~{sha256(text.encode()).hexdigest()[:24]}"
