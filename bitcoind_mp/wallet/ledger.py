"""One SQLite file a wallet: what is in it, how it is opened, checked and changed.

WAL, ``synchronous=FULL``; everything that belongs together is one transaction, a block's effects and the new locator
above all, so that a kill at any moment resumes exactly there. What doesn't belong: what the rows mean.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class Ledger:
    """An open wallet file."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it returns. Nested uses join the outermost."""
        raise NotImplementedError
        yield
