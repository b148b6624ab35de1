"""The bounds that keep a worker's memory and time its own. Each says why it is what it is."""

#: The longest request line, in bytes. Bitcoin Core's own bound on an HTTP request body (``MAX_SIZE``,
#: ``src/serialize.h``, used in ``src/httpserver.cpp``): four times the largest block in hexadecimal.
MAX_REQUEST = 32 * 1024 * 1024

#: The longest line a client takes from a server. A mempool at its default limit, listed verbosely, is
#: about 100 MB; a block at verbosity 3 about 30.
MAX_REPLY = 128 * 1024 * 1024

#: The longest line that the supervisor takes from a worker: its health, help, what it tells of blocks and transactions.
#: Two thousand wallets' figures are half of it. A worker that was broken into must not fill the supervisor's memory.
MAX_FROM_WORKER = 1024 * 1024

#: The longest line that the node takes from a wallet's process: the largest transaction that a block has room for, in
#: hexadecimal, with what is around it. One that was broken into must not fill the node's memory.
MAX_FROM_WALLET = 9 * 1024 * 1024

#: The longest line that a wallet's process takes from the node: a block in hexadecimal, and as much again.
MAX_FROM_NODE = 16 * 1024 * 1024

#: What all connections of a server may hold of unfinished lines together. Room for a few large requests at
#: once; a thousand connections with half a large line each must not be able to fill the machine.
MAX_UNFINISHED = 4 * MAX_REQUEST

#: Lines shorter than this are never refused for the sake of `MAX_UNFINISHED`: ordinary calls still get
#: through while somebody fills the common store.
SMALL_LINE = 64 * 1024

#: Replies that wait for a slow reader, in bytes, before no further request of that connection is taken up.
#: One block in hexadecimal fits; what is above it is at most the reply that crossed the mark, and those of the
#: calls that were running.
WRITE_HIGH_WATER = 2 * 1024 * 1024

#: Replies longer than this, in bytes, are written as they are; shorter ones of one turn are put together first, which
#: copies them but saves a system call each.
LARGE_REPLY = 64 * 1024

#: Seconds that a reader may leave its replies unread before the connection is cut.
WRITE_STALL = 60.0

#: Calls that one connection may have running at once; more wait in its backlog.
MAX_RUNNING = 64

#: Requests received but not taken up, in bytes, before no more is read from the connection.
MAX_BACKLOG = 1024 * 1024

#: Requests of one connection handled in one turn of the loop: about 2 ms of small ones, so that one who
#: pipelines thousands does not keep the others waiting.
REQUESTS_A_TURN = 64

#: Connections to one server; beyond it the one that has been silent longest is cut.
MAX_CONNECTIONS = 1500

#: Connections that the kernel holds for a worker that restarts (bounded by net.core.somaxconn).
LISTEN_BACKLOG = 512
