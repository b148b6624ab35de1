"""A JSON object that names a member more than once. What belongs here: the value alone. What doesn't: who reads JSON
(``ipc/wire/encoding.py``) and who minds the repetition (a payment to two of one address is refused, not halved)."""

from typing import Any


class RepeatedMembers(dict[str, Any]):
    """The object with the last member of each name; ``pairs`` has every member, in order."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    @property
    def repeated(self) -> str:
        """The first name that comes again."""
        names: set[str] = set()
        for name, _ in self.pairs:
            if name in names:
                return name
            names.add(name)
        return ""
