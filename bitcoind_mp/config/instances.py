"""A wallet's name as systemd writes it in the name of a unit, of a socket, of a credential (systemd.unit(5), "String
escaping"), so that ours are found by it."""

_PLAIN = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_.")


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
