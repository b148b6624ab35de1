"""What the kernel's log lines say of a refusal or a failure: it has no other way to tell (``src/validation.cpp``)."""

import logging
import re

log = logging.getLogger("bitcoind_mp.kernel")

#: The kernel's levels as ours: what it tells in the course of a call is of interest only to who looks for it, and its
#: errors are told again by whoever made the call.
_LEVELS = {"info": logging.DEBUG, "warning": logging.WARNING, "error": logging.INFO, "debug": logging.DEBUG}
#: Where it says why.
_REASONS = (
    re.compile(r"AcceptBlock FAILED \((?P<why>.*)\)"),
    re.compile(r"ConnectBlock [0-9a-f]{64} failed, (?P<why>.*)"),
    re.compile(r"Consensus::(?:Contextual)?CheckBlockHeader: [0-9a-f]{64}, (?P<why>.*)"),
)
_HEADER_REASONS = (
    ("has prev block not found", "prev-blk-not-found"),
    ("has prev block invalid", "bad-prevblk"),
    ("is marked invalid", "duplicate-invalid"),
)


class KernelLog:
    """Passes the kernel's log on to ours, and keeps what the present call's lines say about a refusal or failure."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._reason = ""

    def forget(self) -> None:
        self._reason = ""
        self._errors.clear()

    @property
    def errors(self) -> str:
        """The errors since `forget`, the cause first."""
        return "; ".join(self._errors)

    def why(self) -> tuple[str, str]:
        """(Core's word, what it said besides) of the last refusal since `forget`."""
        reason, _, detail = self._reason.partition(", ")
        return reason, detail

    def line(self, line: str) -> None:
        """Take one line; from whatever thread the kernel writes it."""
        category, _, text = line.rstrip("\n").partition("] ")
        level = category.rpartition(":")[2]
        for pattern in _REASONS:
            found = pattern.search(text)
            if found:
                self._reason = found["why"]
        for words, reason in _HEADER_REASONS:
            if words in text and not self._reason:
                self._reason = reason
        if level == "error" and not any(known in text for known in self._errors):
            self._errors.append(text)
        log.log(_LEVELS.get(level, logging.DEBUG), "%s", text)
