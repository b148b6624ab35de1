"""How a person calls one of our programs so that it comes to the same place: the command line that a hint shows."""

from .option import CLI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .configuration import Config


def command_line(config: "Config", program: str = CLI) -> str:
    """The program's name and the options by which it finds this configuration's chain and directory, as a shell reads
    them."""
    parts = [program]
    if config.chain != "main":
        parts.append(f"-chain={config.chain}" if config.chain == "test" else f"-{config.chain}")
    elif any(config.is_set(network) for network in ("chain", "regtest", "signet", "testnet4")):
        parts.append("-chain=main")  # somebody said so, a file perhaps something else
    if config.is_set("datadir"):
        parts.append(f"-datadir={quoted(str(config.datadir))}")
    if config.is_set("conf"):
        parts.append(f"-conf={quoted(config.get_str('conf'))}")
    return " ".join(parts)


def quoted(text: str) -> str:
    """As a shell reads it back."""
    from shlex import quote

    return quote(text)
