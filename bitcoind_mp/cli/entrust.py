"""Telling passphrases to the signer instead of the wallet's process: which words of a command are one, what the signer
is told, and what the wallet gets in their place. Pure.

A wallet whose process was broken into must not be able to talk the front end into telling it. So it is the signer that
says whose the keys are, by the name that the person gave; and where the person gave none, and the signer has keys at
all, a passphrase is sent to no wallet that the signer doesn't know. How it is asked is the callers' (`interpreter`,
`passphrase`).
"""

from .arguments import BadArgument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The signer's command that takes a passphrase.
METHOD = "entrustpassphrase"
#: command -> what the signer is to use the passphrase for
PURPOSES = {
    "walletpassphrase": "unlock",
    "walletpassphrasechange": "change",
    "walletlock": "lock",
    "createwallet": "make",
    "migratetosigner": "move",
}
#: purpose -> the command's parameters that are passphrases
_FIELDS: "dict[str, tuple[str, ...]]" = {
    "unlock": ("passphrase",),
    "change": ("oldpassphrase", "newpassphrase"),
    "lock": (),
    "make": ("passphrase",),
    "move": ("passphrase",),
}
#: The parameter in which the wallet is given the ticket for what its keys are sealed under; what opens them now it must
#: be told.
_NEW = "newpassphrase"
#: Stands for a passphrase where none may be sent: the wallet is to say what is wrong.
VOID = "entrusted-to-the-signer:nothing"


class Secrets:
    """The secrets in one command line: ``command`` as its server describes it, its ``words``, by name or not."""

    def __init__(self, command: Command, words: "list[str]", *, named: bool) -> None:
        self.purpose = PURPOSES[command.name]
        self._words = list(words)
        self._named = named
        self._places = _places(command, words, named=named)
        fields = _FIELDS[self.purpose]
        self._secret_places = [self._places[field] for field in fields if field in self._places]
        self.secrets = [self._value(place) for place in self._secret_places]
        self._wanted = len(fields)

    def _value(self, place: int) -> str:
        word = self._words[place]
        return word.partition("=")[2] if self._is_pair(place) else word

    def _is_pair(self, place: int) -> bool:
        return self._named and any(
            self._words[place].startswith(name + "=") for name, at in self._places.items() if at == place
        )

    def _given(self, name: str) -> str:
        return self._value(self._places[name]) if name in self._places else ""

    @property
    def for_signer(self) -> bool:
        """Whether the signer may be meant: whatever is missing, the wallet's to find fault with."""
        if self.purpose == "lock":
            return True
        if len(self.secrets) != self._wanted or not all(self.secrets):
            return False
        if self.purpose != "make":
            return True
        has_keys = not any(self._given(flag).strip() == "true" for flag in ("disable_private_keys", "blank"))
        return has_keys and bool(self._given("wallet_name"))

    @property
    def wallet(self) -> "str | None":
        """The wallet that the line itself names."""
        return self._given("wallet_name") if self.purpose == "make" else None

    def told(self, wallet: str) -> "list[Any]":
        """The parameters of `METHOD`."""
        seconds = self._given("timeout").strip()
        first = self.secrets[0] if self.secrets else ""
        if self.purpose == "move":
            first = self._given(_NEW) or first
        return [
            self.purpose,
            wallet,
            first,
            self.secrets[1] if len(self.secrets) > 1 else "",
            min(int(seconds), 1 << 31) if seconds.isascii() and seconds.isdigit() else 0,
        ]

    def with_ticket(self, ticket: str) -> "list[str]":
        """The words, with that in place of each secret."""
        words = list(self._words)
        if self.purpose == "move" and _NEW not in self._places:
            return [*words, f"{_NEW}={ticket}" if self._named else ticket]
        for place in [self._places[_NEW]] if self.purpose == "move" else self._secret_places:
            name = words[place].partition("=")[0] + "=" if self._is_pair(place) else ""
            words[place] = name + ticket
        return words


def _places(command: Command, words: "list[str]", *, named: bool) -> "dict[str, int]":
    """At which word each parameter is (`arguments.positional`, `arguments.named`)."""
    names = [name for name, _ in command.parameters]
    if not named:
        return dict(zip(names, range(len(words)), strict=False))
    found: dict[str, int] = {}
    by_position = iter(names)
    for place, word in enumerate(words):
        name, equals, _ = word.partition("=")
        if equals and name in command.names:
            found[name] = place
        else:
            found.setdefault(next(by_position, ""), place)
    return found


def whose(secrets: Secrets, named: "str | None", loaded: "list[str]") -> "str | None":
    """The wallet that the line is about: the one that it names, the one that the person chose (``named``), or the only
    one that is ``loaded``; None where the wallet's process is to say that it can't be told."""
    if secrets.wallet is not None:
        return secrets.wallet
    if named is not None:
        return named
    return loaded[0] if len(loaded) == 1 else None


def replaced(
    secrets: Secrets, words: "list[str]", answer: "dict[str, Any]", *, is_named: bool, wallet: str
) -> "list[str] | None":
    """The words for the wallet, after the signer's answer; None where the signer doesn't know it, and it is to be asked
    itself first (`by_its_word`). ``is_named``: the person named the wallet.

    Raises `BadArgument` where the passphrase may not be sent to it."""
    if answer.get("ticket") is not None:
        return secrets.with_ticket(str(answer["ticket"]))
    if secrets.purpose == "lock":
        return words
    if answer.get("absent") is True:
        return secrets.with_ticket(VOID)
    if int(answer["keysets"]) and not is_named:
        raise BadArgument(
            f"the signer knows no wallet named '{wallet}', whose process would be told the passphrase. If that is "
            f"meant, name it: -rpcwallet={wallet}, or use {wallet} in the shell"
        )
    return None


def by_its_word(secrets: Secrets, words: "list[str]", info: "dict[str, Any]") -> "list[str]":
    """The words for a wallet that the signer doesn't know, after its getwalletinfo: one whose keys the signer ought to
    have isn't told."""
    return secrets.with_ticket(VOID) if info.get("external_signer") is True else words
