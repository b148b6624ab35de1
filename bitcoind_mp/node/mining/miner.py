"""Finding a nonce: regtest's proof of work, off the loop."""


async def mine(block: bytes, tries: int = 1_000_000) -> tuple[bytes | None, int]:
    """The block with a nonce that meets its ``bits``, and how many nonces that took; None where ``tries`` didn't do.

    Cancelling the task stops the search.
    """
    raise NotImplementedError
