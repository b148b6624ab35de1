"""Peers: connections to other Bitcoin nodes over the version 1 transport, and what is exchanged with them.

``wire``, ``handshake``, ``download``, ``requests`` and ``orphans`` hold no socket and no clock; ``connection`` is the
socket of one peer; ``processing`` says what each message means to the chain and the mempool; ``manager`` keeps the
connections. Finding peers by itself, defence against bad ones beyond disconnecting them, compact blocks and the
encrypted transport are not here yet.
"""
