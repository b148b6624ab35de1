"""What the configuration says to each part of the node, in that part's own terms."""

import string
from dataclasses import replace

from btclib.consensus import MAX_BLOCK_WEIGHT

from bitcoind_mp import __version__
from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

from .chain.params import ChainParams, params_for
from .chain.trimming import Bounds
from .kernel_values import KernelOptions
from .mempool.policy import MempoolPolicy
from .mining.assembler import BlockLimits
from .p2p.endpoint import Endpoint, parse_endpoint
from .p2p.manager import PeersConfig
from .p2p.peer import PROGRAM
from .p2p.permissions import Whitelist, parse_whitebind, parse_whitelist

_HOUR = 3600
_MEGABYTE = 1_000_000
_KILOBYTE = 1000
_FEELERS = 11
"""Connections that Core keeps for itself of those ``-maxconnections`` allows; the rest may be inbound."""


def check(config: Config) -> None:
    """Whether a node could start with that, for all that can be said without one.

    Raises:
        FatalError: CONFIG, it could not.
    """
    chain_params(config)
    mempool_policy(config)
    block_limits(config)
    peers_config(config)


def chain_params(config: Config) -> ChainParams:
    """The network's constants, with ``-minimumchainwork``.

    Raises:
        FatalError: CONFIG, that is no number.
    """
    params = params_for(config.chain)
    text = config.get_str("minimumchainwork")
    if not config.is_set("minimumchainwork"):
        return params
    digits = text.removeprefix("0x")
    if len(digits) > 64 or set(digits) - set(string.hexdigits):
        raise FatalError(
            f"Invalid minimum work specified ({text}), must be up to 64 hex digits", status=ExitStatus.CONFIG
        )
    return replace(params, minimum_work=int(digits or "0", 16))


def kernel_options(config: Config) -> KernelOptions:
    """``-par``, ``-reindex``, ``-reindex-chainstate``."""
    reindex = config.get_bool("reindex")
    return KernelOptions(
        threads=config.get_int("par"),
        wipe_index=reindex,
        wipe_coins=reindex or config.get_bool("reindex-chainstate"),
    )


def trim_bounds(config: Config) -> Bounds:
    """How much of the chain is kept in memory until it is written to disk; half of it with ``-lowmemory``."""
    usual = Bounds()
    if not config.get_bool("lowmemory"):
        return usual
    return Bounds(journal=usual.journal // 2, overlay=usual.overlay // 2)


def wants_filters(config: Config) -> bool:
    """``-blockfilterindex``: on without a value, with 1, and with the one kind there is."""
    return (
        config.is_set("blockfilterindex")
        and config.get_str("blockfilterindex") in ("", "1", "basic")
        and not (config.is_negated("blockfilterindex"))
    )


#: What the header and a coinbase take at least (``MINIMUM_BLOCK_RESERVED_WEIGHT``).
_LEAST_RESERVED = 2000
#: Megabytes: with the default of -limitclustersize no less will do.
_LEAST_MEMPOOL = 5


def mempool_policy(config: Config) -> MempoolPolicy:
    """The mempool's and the relay's options. With ``-lowmemory`` half the mempool, but for Core's least.

    Raises:
        FatalError: CONFIG, non-standard transactions on mainnet, and limits that don't go together.
    """
    if config.get_bool("acceptnonstdtxn") and config.chain == "main":
        raise FatalError("acceptnonstdtxn is not currently supported for main chain", status=ExitStatus.CONFIG)
    megabytes = config.get_int("maxmempool")
    if config.get_bool("lowmemory"):
        megabytes = min(megabytes, max(megabytes // 2, _LEAST_MEMPOOL))
    policy = MempoolPolicy(
        min_relay_fee=config.get_amount("minrelaytxfee"),
        incremental_relay_fee=config.get_amount("incrementalrelayfee"),
        dust_relay_fee=config.get_amount("dustrelayfee"),
        max_size=megabytes * _MEGABYTE,
        expiry=config.get_int("mempoolexpiry") * _HOUR,
        cluster_count=config.get_int("limitclustercount"),
        cluster_size=config.get_int("limitclustersize") * _KILOBYTE,
        max_datacarrier=config.get_int("datacarriersize") if config.get_bool("datacarrier") else None,
        permit_bare_multisig=config.get_bool("permitbaremultisig"),
        require_standard=not config.get_bool("acceptnonstdtxn"),
        bytes_per_sigop=config.get_int("bytespersigop"),
        persist=config.get_bool("persistmempool"),
    )
    if policy.problem:
        raise FatalError(policy.problem, status=ExitStatus.CONFIG)
    return policy


def block_limits(config: Config) -> BlockLimits:
    """``-blockmaxweight``, ``-blockreservedweight``, ``-blockmintxfee``, and ``-blockversion`` on regtest.

    Raises:
        FatalError: CONFIG, a weight that no block can have.
    """
    overridden = config.chain == "regtest" and config.is_set("blockversion")
    for name in ("blockmaxweight", "blockreservedweight"):
        if config.get_int(name) > MAX_BLOCK_WEIGHT:
            raise FatalError(
                f"Specified -{name} ({config.get_int(name)}) exceeds consensus maximum block weight "
                f"({MAX_BLOCK_WEIGHT})",
                status=ExitStatus.CONFIG,
            )
    if config.get_int("blockreservedweight") < _LEAST_RESERVED:
        raise FatalError(
            f"Specified -blockreservedweight ({config.get_int('blockreservedweight')}) is lower than minimum safety "
            f"value of ({_LEAST_RESERVED})",
            status=ExitStatus.CONFIG,
        )
    return BlockLimits(
        max_weight=config.get_int("blockmaxweight"),
        reserved_weight=config.get_int("blockreservedweight"),
        min_fee_rate=config.get_amount("blockmintxfee"),
        version=config.get_int("blockversion") if overridden else None,
    )


def peers_config(config: Config) -> PeersConfig:
    """Whom to call, and where to be called.

    Raises:
        FatalError: CONFIG, an address is none, nobody could call where it is to be, a permission is none, or a comment
            unfit.
    """
    if config.get_bool("peerblockfilters") and not wants_filters(config):
        raise FatalError("Cannot set -peerblockfilters without -blockfilterindex.", status=ExitStatus.CONFIG)
    agent = _user_agent(config.get_list("uacomment"))
    connect, add = config.get_list("connect"), config.get_list("addnode")
    connect = [] if connect == ["0"] else connect  # -connect=0 has always been -noconnect
    for text in (*connect, *add):
        try:
            parse_endpoint(text, config.get_int("port"))
        except ValueError as error:
            raise FatalError(f"Bad peer address: {error}.", status=ExitStatus.CONFIG) from error
    if (config.get_list("bind") or config.get_list("whitebind")) and not config.get_bool("listen"):
        raise FatalError("Cannot set -bind or -whitebind together with -listen=0", status=ExitStatus.CONFIG)
    return PeersConfig(
        listen=config.get_bool("listen"),
        bind=tuple(_address(text, config.get_int("port")) for text in config.get_list("bind")),
        port=config.get_int("port"),
        connect=tuple(connect),
        add=tuple(add),
        user_agent=agent,
        take_transactions=not config.get_bool("blocksonly"),
        max_inbound=max(0, config.get_int("maxconnections") - _FEELERS),
        whitelist=_whitelist(config),
        timeout=config.get_seconds("peertimeout"),
        ban_time=config.get_int("bantime"),
    )


def _address(text: str, port: int) -> Endpoint:
    """Where -bind says to listen. As in Core no name will do: it may mean another machine tomorrow."""
    try:
        found = parse_endpoint(text, port)
    except ValueError:
        found = None
    if found is None or found.address is None:
        raise FatalError(f"Cannot resolve -bind address: '{text}'", status=ExitStatus.CONFIG)
    return found


#: What a comment may hold besides letters and digits (``SAFE_CHARS_UA_COMMENT``), and how long the whole may be.
_HARMLESS = " .,;-_?@"
_LONGEST_AGENT = 256


def _user_agent(comments: list[str]) -> str:
    """What we call ourselves (BIP14).

    Raises:
        FatalError: CONFIG, a comment that no peer should be sent.
    """
    for comment in comments:
        if set(comment) - set(string.ascii_letters + string.digits + _HARMLESS):
            raise FatalError(f"User Agent comment ({comment}) contains unsafe characters.", status=ExitStatus.CONFIG)
    agent = f"/{PROGRAM}:{__version__}{'(' + '; '.join(comments) + ')' if comments else ''}/"
    if len(agent) > _LONGEST_AGENT:
        raise FatalError(
            f"Total length of network version string ({len(agent)}) exceeds maximum length ({_LONGEST_AGENT}). "
            "Reduce the number or size of uacomments.",
            status=ExitStatus.CONFIG,
        )
    return agent


def _whitelist(config: Config) -> Whitelist:
    """Whom the operator trusts with what."""
    try:
        return Whitelist(
            networks=tuple(map(parse_whitelist, config.get_list("whitelist"))),
            places=tuple(map(parse_whitebind, config.get_list("whitebind"))),
            relay=config.get_bool("whitelistrelay"),
            force_relay=config.get_bool("whitelistforcerelay"),
        )
    except ValueError as error:
        raise FatalError(f"{error}", status=ExitStatus.CONFIG) from None
