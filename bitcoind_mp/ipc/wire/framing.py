"""Bytes to lines: no socket, no JSON. One message a line, ended by a newline; a line has a largest size."""


class LineTooLong(Exception):
    """The peer sent more than the limit without a newline. Nothing after it can be understood."""


class Lines:
    """Cuts a stream of bytes into lines. Linear in what is received, whatever its pieces."""

    __slots__ = ("_limit", "_parts", "held")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        #: bytes held of a line whose end hasn't come
        self.held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their newlines.

        Raises:
            LineTooLong: a line is longer than the limit. What was held is dropped.
        """
        if not self._parts and data.endswith(b"\n") and len(data) <= self._limit:
            lines = data.split(b"\n")
            lines.pop()
            return lines
        return self._feed_pieces(data)

    def _feed_pieces(self, data: bytes) -> list[bytes]:
        first, newline, rest = data.partition(b"\n")
        self._parts.append(first)
        self.held += len(first)
        if self.held > self._limit:
            self._drop()
        if not newline:
            return []
        lines = [b"".join(self._parts), *rest.split(b"\n")]
        last = lines.pop()
        self._parts = [last] if last else []
        self.held = len(last)
        if self.held > self._limit or any(len(line) > self._limit for line in lines):
            self._drop()
        return lines

    def _drop(self) -> None:
        self._parts.clear()
        self.held = 0
        raise LineTooLong
