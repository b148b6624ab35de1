"""Why a transaction was not accepted, in Bitcoin Core's words."""

from enum import StrEnum


class Kind(StrEnum):
    """Core's ``TxValidationResult``: what the refusal means for a peer and for a retry."""

    CONSENSUS = "consensus"
    INPUTS_NOT_STANDARD = "inputs-not-standard"
    NOT_STANDARD = "not-standard"
    MISSING_INPUTS = "missing-inputs"
    PREMATURE_SPEND = "premature-spend"
    WITNESS_MUTATED = "witness-mutated"
    WITNESS_STRIPPED = "witness-stripped"
    CONFLICT = "conflict"
    MEMPOOL_POLICY = "mempool-policy"
    RECONSIDERABLE = "reconsiderable"
    UNKNOWN = "unknown"


class Rejected(Exception):
    """A transaction was refused.

    ``reason`` is Core's reject reason (``bad-txns-vin-empty``), ``details`` its debug message, empty where Core
    has none. ``kind`` says what sort of refusal it is.
    """

    def __init__(self, reason: str, details: str = "", kind: Kind = Kind.CONSENSUS) -> None:
        super().__init__(reason, details, kind)
        self.reason = reason
        self.details = details
        self.kind = kind

    def __str__(self) -> str:
        """``reason, details``: what ``sendrawtransaction`` reports (Core's ``ValidationState::ToString``)."""
        return f"{self.reason}, {self.details}" if self.details else self.reason
