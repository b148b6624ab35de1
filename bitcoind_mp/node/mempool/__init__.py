"""The mempool: which unconfirmed transactions the node keeps, relays and mines.

What belongs here: Bitcoin Core v31's acceptance rules, clusters and their order, replacement, eviction, expiry,
persistence and fee estimation. What doesn't: consensus (the kernel), blocks (``node/chain/``), the wire
(``node/p2p/``) and the shape of answers (``node/rpc/``).
"""
