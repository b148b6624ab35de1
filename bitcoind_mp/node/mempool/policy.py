"""The mempool's settings: Bitcoin Core's options and defaults (``mempool_options.h``, ``policy.h``)."""

from dataclasses import dataclass

from btclib.policy import DEFAULT_BYTES_PER_SIGOP, MAX_OP_RETURN_RELAY

#: The most transactions that a cluster may be allowed.
MAX_CLUSTER_COUNT = 64


@dataclass(frozen=True)
class MempoolPolicy:
    """Fee rates in sat/kvB, sizes in bytes or vB, times in seconds.

    Each field is named after its option: ``min_relay_fee`` is ``-minrelaytxfee``, ``incremental_relay_fee``
    ``-incrementalrelayfee``, ``dust_relay_fee`` ``-dustrelayfee``, ``max_size`` ``-maxmempool`` (MB there),
    ``expiry`` ``-mempoolexpiry`` (hours there), ``cluster_count`` and ``cluster_size`` ``-limitclustercount`` and
    ``-limitclustersize`` (kvB there), ``max_datacarrier`` ``-datacarriersize`` (None is ``-datacarrier=0``),
    ``require_standard`` is the opposite of ``-acceptnonstdtxn``, ``persist`` ``-persistmempool``.
    """

    min_relay_fee: int = 100
    incremental_relay_fee: int = 100
    dust_relay_fee: int = 3000
    max_size: int = 300_000_000
    expiry: int = 336 * 3600
    cluster_count: int = 64
    cluster_size: int = 101_000
    max_datacarrier: int | None = MAX_OP_RETURN_RELAY
    permit_bare_multisig: bool = True
    require_standard: bool = True
    bytes_per_sigop: int = DEFAULT_BYTES_PER_SIGOP
    persist: bool = True

    @property
    def problem(self) -> str:
        """What is wrong with these values together, in Core's words; empty if nothing is."""
        if self.cluster_count > MAX_CLUSTER_COUNT:
            return f"limitclustercount must be less than or equal to {MAX_CLUSTER_COUNT}"
        room = self.cluster_size * 40
        if self.max_size < 0 or 0 < self.max_size < room:
            return f"-maxmempool must be at least {-(-room // 1_000_000)} MB"
        return ""
