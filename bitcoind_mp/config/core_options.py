"""Options that Bitcoin Core has and bitcoind_mp does not: only so that a refusal can say so.

From ``bitcoind -help-debug`` and ``bitcoin-cli -help``, v31. Refused rather than ignored: who sets ``proxy`` or
``prune`` relies on it.
"""

CORE_OPTIONS = frozenset(
    """
    acceptstalefeeestimates addrinfo allowignoredconf asmap assumevalid
    blockreconstructionextratxn blocksdir blocksxor capturemessages checkaddrman checkblockindex
    checkblocks checklevel checkmempool checkpoints choosedatadir cjdnsreachable coinstatsindex dbbatchsize
    dbcache debuglogfile deprecatedrpc discover dns dnsseed externalip fastprune fixedseeds forcednsseed
    i2pacceptincoming i2psam lang limitancestorsize limitdescendantsize
    listenonion logips loglevel loglevelalways logratelimit logsourcelocations logthreadnames logtimemicros
    logtimestamps maxreceivebuffer maxsendbuffer maxsigcachesize maxuploadtarget min natpmp
    netinfo networkactive onion onlynet peerbloomfilters persistmempoolv1
    printpriority privatebroadcast proxy proxyrandomize prune resetguisettings rest rpcallowip rpcauth rpcbind
    rpcconnect rpccookiefile rpccookieperms rpcdoccheck rpcid rpcpassword rpcport rpcservertimeout rpcthreads
    rpcuser rpcwhitelist rpcwhitelistdefault rpcworkqueue seednode server settings shrinkdebugfile
    signer signetchallenge signetseednode splash stdinrpcpass stopafterblockimport
    stopatheight test testactivationheight timeout torcontrol torpassword txospenderindex txreconciliation
    uiplatform unsafesqlitesync v2transport vbparams walletcrosschain
    zmqpubhashblock zmqpubhashblockhwm zmqpubhashtx zmqpubhashtxhwm
    zmqpubrawblock zmqpubrawblockhwm zmqpubrawtx zmqpubrawtxhwm zmqpubsequence zmqpubsequencehwm
    """.split()  # noqa: SIM905
)
