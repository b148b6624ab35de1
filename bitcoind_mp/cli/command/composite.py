"""bitcoin-cli's own commands made of several calls: -getinfo and -generate (``src/bitcoin-cli.cpp``)."""

from bitcoind_mp.cli.arguments import BadArgument
from bitcoind_mp.cli.format import harmless
from bitcoind_mp.cli.terminal import wants_colour

from .calling import call
from .exchange import NoServer, Refused
from .printed import print_result, print_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.config import Config


def run_composite(config: "Config") -> int:
    """The one of them that was asked for; the exit status."""
    getinfo, generate = config.get_bool("getinfo"), config.get_bool("generate")
    if getinfo and generate:
        raise BadArgument("Only one of -generate, -getinfo may be specified.")
    if getinfo:
        if config.arguments:
            raise BadArgument("-getinfo takes no arguments")
        result = gather(config)
        if config.get_bool("json"):
            print_result(result)
        else:
            print_text(getinfo_text(harmless(result), colour=wants_colour(config)))
        return 0
    print_result(generate_blocks(config))
    return 0


def generate_blocks(config: "Config") -> "dict[str, Any]":
    """A new address and blocks mined to it."""
    words = generate_words(list(config.arguments))
    address = call(config, "getnewaddress", [])
    blocks = call(config, "generatetoaddress", [words[0], address, *words[1:]])
    return {"address": address, "blocks": blocks}


def generate_words(words: "list[str]") -> "list[str]":
    """How many blocks, and with how many tries where that was said. Raises `BadArgument`."""
    if len(words) > 2:
        raise BadArgument("too many arguments (maximum 2 for nblocks and maxtries)")
    if words and words[0] == "0":
        raise BadArgument(
            "the first argument (number of blocks to generate, default: 1) must be an integer value greater than zero"
        )
    return words or ["1"]


def gather(config: "Config") -> "dict[str, Any]":
    """The answers that make up -getinfo. Without a wallet, what the node knows."""
    network = call(config, "getnetworkinfo", [])
    chain = call(config, "getblockchaininfo", [])
    result = {
        "version": network["version"],
        "blocks": chain["blocks"],
        "headers": chain["headers"],
        "verificationprogress": chain["verificationprogress"],
        "timeoffset": network["timeoffset"],
        "connections": {
            "in": network["connections_in"],
            "out": network["connections_out"],
            "total": network["connections"],
        },
        "networks": network["networks"],
        "difficulty": chain["difficulty"],
        "chain": chain["chain"],
    }
    wallet = _perhaps(config, "getwalletinfo")
    if wallet is not None:
        result["has_wallet"] = True
        result["keypoolsize"] = wallet["keypoolsize"]
        result["walletname"] = wallet["walletname"]
        if wallet.get("unlocked_until") is not None:
            result["unlocked_until"] = wallet["unlocked_until"]
    balances = _perhaps(config, "getbalances")
    if balances is not None:
        result["balance"] = balances["mine"]["trusted"]
    result["relayfee"] = network["relayfee"]
    result["warnings"] = network["warnings"]
    if not config.is_set("rpcwallet"):
        names = _perhaps(config, "listwallets") or []
        if len(names) > 1:
            each = {name: _perhaps(config, "getbalances", wallet=name) for name in names}
            result["balances"] = {name: found["mine"]["trusted"] for name, found in each.items() if found}
    return result


def _perhaps(config: "Config", name: str, wallet: "str | None" = None) -> "Any":
    """A call to the wallet that may fail: there may be no wallet."""
    try:
        return call(config, name, [], wallet=wallet, may_wait=False)
    except (Refused, NoServer):
        return None


def getinfo_text(info: "dict[str, Any]", *, colour: bool) -> str:
    """Core's layout of -getinfo (``ParseGetInfoResult``)."""

    def paint(code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    progress = float(info["verificationprogress"])
    bar = _progress_bar(progress) + " " if progress < 0.99 else ""
    peers = info["connections"]
    lines = [
        paint(34, f"Chain: {info['chain']}"),
        f"Blocks: {info['blocks']}",
        f"Headers: {info['headers']}",
        f"Verification progress: {bar}{progress * 100:.4f}%",
        f"Difficulty: {info['difficulty']}",
        "",
        paint(32, f"Network: in {peers['in']}, out {peers['out']}, total {peers['total']}"),
        f"Version: {info['version']}",
        f"Time offset (s): {info['timeoffset']}",
        f"Proxies: {_proxies(info['networks'])}",
        f"Min tx relay fee rate (BTC/kvB): {info['relayfee']}",
        "",
    ]
    if info.get("has_wallet"):
        lines.append(paint(35, "Wallet: " + (info["walletname"] or '""')))
        lines.append(f"Keypool size: {info['keypoolsize']}")
        if "unlocked_until" in info:
            lines.append(f"Unlocked until: {info['unlocked_until']}")
    if "balance" in info:
        lines += [f"{paint(36, 'Balance:')} {info['balance']}", ""]
    if "balances" in info:
        width = max(10, *(len(str(amount)) for amount in info["balances"].values()))
        lines.append(paint(36, "Balances"))
        lines += [f"{amount:>{width}} " + (name or '""') for name, amount in info["balances"].items()]
        lines.append("")
    warnings = info["warnings"]
    if isinstance(warnings, list):
        warnings = " ".join(warnings)
    lines.append(f"{paint(33, 'Warnings:')} {warnings or '(none)'}")
    return "\n".join(lines)


def _progress_bar(progress: float) -> str:
    """Twenty boxes, filled from the left."""
    if not 0 <= progress <= 1:
        return ""
    filled = -int(-progress // 0.05)
    return "\u2592" * filled + "\u2591" * (-int(-(1 - progress) // 0.05))


def _proxies(networks: "list[dict[str, Any]]") -> str:
    by_proxy: dict[str, list[str]] = {}
    for network in networks:
        if network.get("proxy"):
            by_proxy.setdefault(network["proxy"], []).append(network["name"])
    return ", ".join(f"{proxy} ({', '.join(names)})" for proxy, names in by_proxy.items()) or "n/a"
