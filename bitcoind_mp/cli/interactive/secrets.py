"""Which lines hold a passphrase or a private key, and so are never kept. Pure.

The servers' tables say which parameters are secret; besides, some commands are never kept whatever their tables say,
and neither is anything that looks like a private key.
"""

from bitcoind_mp.cli.arguments import Command
from bitcoind_mp.interfaces.private_keys import PRIVATE_KEY

from .line import BadLine, Line, inner, parse

#: Commands whose parameters are secrets in part, however they are given.
ALWAYS = frozenset(
    {
        "walletpassphrase",
        "walletpassphrasechange",
        "encryptwallet",
        "migratetosigner",
        "importdescriptors",
        "signrawtransactionwithkey",
        "signmessagewithprivkey",
        "importprivkey",
        "sethdseed",
        "migratewallet",
    }
)


def is_secret(text: str, command: Command | None) -> bool:
    """Whether the line may not be kept at all. ``command`` is its command's description, None for one that nobody
    has."""
    if PRIVATE_KEY.search(text):
        return True
    try:
        line = inner(parse(text))
    except BadLine:
        return any(name in text for name in ALWAYS)
    if line.command in ALWAYS:
        return bool(line.words)
    return command is not None and bool(_given_secrets(line, command))


def _given_secrets(line: Line, command: Command) -> list[str]:
    """The names of secret parameters that the line gives a value."""
    secret = {p["name"]: index for index, p in enumerate(command.described.get("params", ())) if p.get("secret")}
    secret_names = {
        name
        for p in command.described.get("params", ())
        if p.get("secret")
        for name in (p["name"], *p.get("aliases", ()))
    }
    given = [name for name, index in secret.items() if index < len(line.words)]
    return given + [word for word in line.words if word.partition("=")[0] in secret_names]


def missing_secret(line: Line, command: Command) -> str | None:
    """The first secret parameter that must be given and isn't: to be asked for without showing it."""
    if line.named and any("=" in word for word in line.words):
        return None
    for index, parameter in enumerate(command.described.get("params", ())):
        if parameter.get("secret") and parameter.get("required") and index == len(line.words):
            return str(parameter["name"])
    return None
