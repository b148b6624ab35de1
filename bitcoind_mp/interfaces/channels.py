"""The ends of the channels by which workers reach one another, as LISTEN_FDNAMES names them.

A channel is a pair of packet sockets that the supervisor made (``ipc/wire/``): who has the first end calls whoever
has the second, and nobody else can.
"""

#: From wallets to the node; to the signer; and, with -walletprocess=each, from a wallet's process to the keeper.
TO_NODE, AT_NODE = "to-node", "at-node"
TO_SIGNER, AT_SIGNER = "to-signer", "from-wallet"
TO_KEEPER, AT_KEEPER = "to-keeper", "at-keeper"

#: FDNAME of callers' connections that a process gives its manager when it ends in order (FDSTORE=1), for the next
#: process of the unit to go on with; and what that one is handed them by: a channel that they were passed into.
CALLER, CALLERS = "caller", "callers"

#: No channel: a file without a path, with what the configuration files said when the supervisor accepted them
#: (``config/texts.py``). A worker that is handed it reads none itself.
CONFIGURATION = "configuration"
