"""Mining: block templates from the mempool, and regtest's proof of work.

What belongs here: which transactions go into a block and in what order, the coinbase, and finding a nonce.
What doesn't: accepting the block (``node/chain/``) and the shape of ``getblocktemplate`` (``node/rpc/``).
"""
