"""What a transaction counts against ``-maxmempool``: the bytes that Bitcoin Core's mempool would take for it.

A Python object of the same transaction takes about twice that, so this is no measure of this process. It is what
operators set ``-maxmempool`` by, and what decides at which fee rate a full mempool refuses: nodes of one setting shall
agree on that.
"""

from btclib.tx import Tx

#: Sizes of Core's objects on a 64-bit machine (``src/primitives/transaction.h``), in bytes.
_INPUT, _OUTPUT, _STACK_ITEM = 112, 48, 24
#: A script up to this long lies within its object (``prevector`` in ``src/script/script.h``).
_SCRIPT_WITHIN = 36
#: Of each entry beside its transaction: the entry, its place in the graph of clusters, and its indexes.
_ENTRY = 632
#: Of each output that is spent: ``mapNextTx``.
_SPEND = 64
#: Of each entry in ``txns_randomized``, a vector that doubles when it is full.
_SHUFFLED = 40
#: Of each change of priority: ``mapDeltas``.
_DELTA = 96


def allocated(size: int) -> int:
    """What the C library takes for ``size`` bytes (``MallocUsage`` in ``src/memusage.h``)."""
    return (size + 31) >> 4 << 4 if size else 0


def counted(tx: Tx) -> int:
    """What one entry counts, in bytes, but for its part of the list that `Usage` adds."""
    total = _ENTRY + _SPEND * len(tx.vin) + allocated(_INPUT * len(tx.vin)) + allocated(_OUTPUT * len(tx.vout))
    for tx_in in tx.vin:
        stack = tx_in.script_witness.stack
        total += _script(tx_in.script_sig) + allocated(_STACK_ITEM * len(stack))
        total += sum(allocated(len(item)) for item in stack)
    return total + sum(_script(tx_out.script_pub_key.script) for tx_out in tx.vout)


class Usage:
    """What all the entries count together, kept as they come and go."""

    def __init__(self) -> None:
        self._inner = 0
        self._entries = 0
        self._capacity = 0

    def added(self, memory: int) -> None:
        """An entry came that counts ``memory`` bytes (`counted`)."""
        self._inner += memory
        self._entries += 1
        if self._entries > self._capacity:
            self._capacity = max(1, 2 * self._capacity)

    def removed(self, memory: int) -> None:
        """It left."""
        self._inner -= memory
        self._entries -= 1
        if 0 < 2 * self._entries < self._capacity:
            self._capacity = self._entries

    def total(self, deltas: int) -> int:
        """Bytes; ``deltas`` is how many priorities are changed."""
        return self._inner + allocated(_SHUFFLED * self._capacity) + _DELTA * deltas


def _script(script: bytes) -> int:
    return allocated(len(script)) if len(script) > _SCRIPT_WITHIN else 0
