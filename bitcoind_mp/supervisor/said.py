"""What a worker says where it becomes words of ours, in a log or an answer: it may have been broken into, and what its
peers and callers said may be among it."""


def said(text: str, most: int = 400) -> str:
    """One line that can be printed, of so many characters at most."""
    return "".join(character if character.isprintable() else " " for character in text[:most]).strip()
