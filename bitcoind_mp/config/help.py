"""The text of -help and -version, laid out as Core's (``GetHelpMessage``). The words are the table's."""

from bitcoind_mp import __version__

from .configuration import Config
from .option import CLI, NODE, SIGNER, SUPERVISOR, WALLET, Option
from .options import CATEGORIES, TABLE

WIDTH = 79
OPTION_INDENT = 2
TEXT_INDENT = 7

TITLES = {
    SUPERVISOR: "supervisor",
    NODE: "node",
    WALLET: "wallet",
    SIGNER: "signer",
    CLI: "front end",
}
SUMMARIES = {
    SUPERVISOR: "bitcoind-mp runs a Bitcoin node and a wallet as two processes of their own, and keeps them running. "
    "It hands each its socket, checks its health, and starts it again when it has died or hangs.",
    NODE: "bitcoin-mp-node is the node: chain, mempool and peers, and no keys. The supervisor bitcoind-mp starts it; "
    "it also runs alone, by hand or as a service of systemd.",
    WALLET: "bitcoin-mp-wallet is the wallet: keys and coins, and no network but its node's Unix socket. The "
    "supervisor bitcoind-mp starts it; it also runs alone, by hand or as a service of systemd.",
    SIGNER: "bitcoin-mp-signer holds the private keys of wallets made with -signerprocess=1, apart from the wallet's "
    "process, and signs what its owner's policy allows. The supervisor bitcoind-mp starts it; it also runs alone, by "
    "hand or as a service of systemd.",
    CLI: "bitcoin-mp talks to a running bitcoind-mp, or to a node or wallet that runs alone. With a command it runs "
    "that and prints its result; without, it is a shell. The command help lists all commands, and help <command> "
    "explains one. The -named option allows you to specify parameters using the key=value format, eliminating the "
    "need to pass unused positional parameters.",
}
USAGES = {
    SUPERVISOR: ("bitcoind-mp [options]",),
    NODE: ("bitcoin-mp-node [options]",),
    WALLET: ("bitcoin-mp-wallet [options]",),
    SIGNER: ("bitcoin-mp-signer [options]",),
    CLI: (
        "bitcoin-mp [options]",
        "bitcoin-mp [options] <command> [params]",
        "bitcoin-mp [options] -named <command> [name=value]...",
        "bitcoin-mp [options] help [<command>]",
        "bitcoin-mp [options] status [<unit>...] | health | logs [<unit>...] [-f]",
        "bitcoin-mp [options] start <unit>... | stop [<unit>...]",
        "bitcoin-mp [options] restart <unit>... | reload <unit>...",
    ),
}


def version_text(program: str) -> str:
    """What -version prints."""
    return f"{program} ({TITLES[program]}) version v{__version__}\n"


def help_text(config: Config) -> str:
    """What -help prints, with the debugging options where -help-debug asked for them."""
    program = config.program
    with_debug = config.get_bool("help-debug")
    lines = [version_text(program), "\n", paragraph(SUMMARIES[program], WIDTH, 0), "\n\n"]
    for index, usage in enumerate(USAGES[program]):
        lines.append(f"{'or:   ' if index else 'Usage:'} {usage}\n")
    for category in CATEGORIES:
        rows = [option for option in shown_options(program, with_debug) if option.category == category]
        if rows:
            lines.append(f"\n{category}:\n\n")
        for option in rows:
            lines.append(f"{' ' * OPTION_INDENT}-{option.name}{option.metavar}\n")
            lines.append(f"{' ' * TEXT_INDENT}{paragraph(described(option), WIDTH - TEXT_INDENT, TEXT_INDENT)}\n\n")
    return "".join(lines).rstrip("\n") + "\n"


def shown_options(program: str, with_debug: bool) -> list[Option]:
    """The options that a program's help shows, by name."""
    rows = (o for o in TABLE if o.taken_by(program) and not o.hidden and (with_debug or not o.debug))
    return sorted(rows, key=lambda option: option.name)


def described(option: Option) -> str:
    """An option's help with its default filled in."""
    default = option.default
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    return option.help.replace("{default}", shown)


def paragraph(text: str, width: int, indent: int) -> str:
    """Wrapped to ``width``; lines after the first are indented."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return ("\n" + " " * indent).join(lines)
