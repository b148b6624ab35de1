"""Why a transaction can't be made, in Core's words. Which RPC code that is depends on the command: ``../rpc/``."""


class SpendError(Exception):
    """The transaction can't be made; the message is for a person."""


class RateTooLow(SpendError):
    """The rate a person gave is lower than what the wallet may pay."""


class BumpError(Exception):
    """A transaction's fee can't be bumped: ``code`` is one of `RpcCode`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
