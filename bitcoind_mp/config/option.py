"""One row of the option table, and what makes a value of its kind good or bad.

What belongs here: the shape of a row and reading one value as text. What doesn't: the rows (`options`), and
where a value came from or which of several wins (`grammar`, `settings`).
"""

FLAG = "flag"  # 0 or 1, as Core's InterpretBool reads it
INTEGER = "integer"
SECONDS = "seconds"  # a decimal number, so that tests and monitors can ask for less than one second
AMOUNT = "amount"  # BTC, or BTC/kvB for a feerate; satoshis inside
TEXT = "text"
PATH = "path"
TIMED = "timed"  # NAME:SECONDS
LISTEN = "listen"  # where to listen on this machine: unix:PATH, or HOST:PORT of the loopback interface
ADDRESS = "address"  # a Unix socket as Core writes it: unix, unix:PATH; with `choices` for the other words

SUPERVISOR = "bitcoind-mp"
NODE = "bitcoin-mp-node"
WALLET = "bitcoin-mp-wallet"
SIGNER = "bitcoin-mp-signer"
CLI = "bitcoin-mp"
PROGRAMS = (SUPERVISOR, NODE, WALLET, SIGNER, CLI)

#: The units that the supervisor runs, and the program of each.
UNITS = {"node": NODE, "wallet": WALLET, "signer": SIGNER}
#: The same in words, for who named none of them.
WHICH_UNITS = "node or wallet (or signer, with -signerprocess)"


class BadValue(ValueError):
    """A value is not one of its option's kind; the text says what it should be."""


class Option:
    """One option. Which programs take it, how its value is read, and what help and manual say of it.

    ``programs``: those that act on it; a worker's option is taken by the supervisor too, which passes it on.
    ``metavar``: what follows the name in help, ``=<n>``. ``many``: may be given more than once, all count.
    ``network_only``: outside main, ignored in the default section of bitcoin.conf (Core's NETWORK_ONLY).
    ``base``: what a relative path is relative to: ``cwd``, ``datadir`` or ``network``.
    ``per_unit``: the value may be ``UNIT:VALUE``, for that unit alone. ``where``: ``""`` anywhere, ``command``
    only on the command line, ``file`` only in bitcoin.conf. ``debug``: help shows it under -help-debug only.
    ``alone``: for a worker that runs without the supervisor, which doesn't take it.
    """

    __slots__ = (
        "alone",
        "base",
        "category",
        "choices",
        "debug",
        "default",
        "elidable",
        "help",
        "hidden",
        "kind",
        "many",
        "maximum",
        "metavar",
        "minimum",
        "name",
        "negatable",
        "network_only",
        "per_unit",
        "programs",
        "where",
    )

    def __init__(
        self,
        name: str,
        kind: str,
        default: "str | int | float | None",
        programs: "tuple[str, ...]",
        category: str,
        metavar: str,
        help: str,
        *,
        choices: "tuple[str, ...]" = (),
        minimum: "int | float | None" = None,
        maximum: "int | float | None" = None,
        many: bool = False,
        network_only: bool = False,
        negatable: bool = True,
        elidable: bool = False,
        base: str = "",
        per_unit: bool = False,
        where: str = "",
        debug: bool = False,
        hidden: bool = False,
        alone: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.programs = programs
        self.category = category
        self.metavar = metavar
        self.help = help
        self.choices = choices
        self.minimum = minimum
        self.maximum = maximum
        self.many = many
        self.network_only = network_only
        self.negatable = negatable
        self.elidable = elidable or kind == FLAG
        self.base = base
        self.per_unit = per_unit
        self.where = where
        self.debug = debug
        self.hidden = hidden
        self.alone = alone

    def taken_by(self, program: str) -> bool:
        """Whether that program accepts the option on its command line."""
        if program in self.programs:
            return True
        return program == SUPERVISOR and not self.alone and any(worker in self.programs for worker in UNITS.values())

    def read(self, text: str) -> "str | int | float | bool":
        """The value that ``text`` stands for. Raises `BadValue`."""
        if self.kind == FLAG:
            return interpret_flag(text)
        if self.kind in (INTEGER, SECONDS):
            return self._number(text)
        if self.kind == AMOUNT:
            return int(text) if text in self.choices else read_amount(text)
        if self.kind == ADDRESS:
            if text not in self.choices and not (text == "unix" or (text.startswith("unix:") and len(text) > 5)):
                raise BadValue("expected " + ", ".join([*self.choices, "unix or unix:<path>"]))
        elif self.kind == LISTEN:
            check_listen(text)
        elif self.kind == TIMED:
            name, _, seconds = text.rpartition(":")
            if not name:
                raise BadValue("expected <name>:<seconds>")
            self._number(seconds)
        elif self.choices and text not in self.choices:
            raise BadValue("expected one of " + ", ".join(choice for choice in self.choices if choice))
        return text

    def split_unit(self, text: str) -> "tuple[str, str]":
        """``UNIT:VALUE`` as (unit, value); the unit is empty where the value is for every unit."""
        if self.per_unit:
            unit, colon, value = text.partition(":")
            if colon:
                if unit not in UNITS:
                    raise BadValue(f"no unit named {unit or 'nothing'}: expected {WHICH_UNITS}")
                return unit, value
        return "", text

    def _number(self, text: str) -> "int | float":
        value: int | float
        try:
            value = float(text) if self.kind == SECONDS else whole_number(text)
        except ValueError:
            raise BadValue(f"expected a number{' of seconds' if self.kind == SECONDS else ''}") from None
        if value != value or value in (float("inf"), float("-inf")):
            raise BadValue("expected a number")
        if self.minimum is not None and value < self.minimum:
            raise BadValue(f"expected at least {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise BadValue(f"expected at most {self.maximum}")
        return value


def check_listen(text: str) -> None:
    """Raises `BadValue` for what is neither ``unix:PATH`` nor ``HOST:PORT`` of the loopback interface."""
    if text.startswith("unix:") and len(text) > 5:
        return
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise BadValue("expected unix:<path> or <host>:<port>")
    numbers = host.split(".")
    is_own = len(numbers) == 4 and numbers[0] == "127" and all(n.isascii() and n.isdigit() for n in numbers)
    if not is_own and host not in ("localhost", "[::1]"):
        raise BadValue("expected a loopback address (127.0.0.1, [::1] or localhost): others take a proxy before it")


def interpret_flag(text: str) -> bool:
    """Core's InterpretBool: nothing is yes, a number is whether it is not 0. A word is refused: Core reads every
    word as 0, which nobody means who writes ``=true``. Raises `BadValue`."""
    if text == "":
        return True
    try:
        return whole_number(text) != 0
    except ValueError:
        raise BadValue("expected 0 or 1") from None


def whole_number(text: str) -> int:
    """A decimal integer, without Python's underscores and other digits. Raises `ValueError`."""
    if not (text.isascii() and text.lstrip("+-").isdigit()):
        raise ValueError(text)
    return int(text)


def read_amount(text: str) -> int:
    """A non-negative BTC amount with up to eight decimals, in satoshis (Core's ParseMoney). Raises `BadValue`."""
    whole, _, fraction = text.strip().partition(".")
    if not (whole + fraction).isascii() or not (whole + fraction).isdigit() or len(fraction) > 8 or len(whole) > 8:
        raise BadValue("expected an amount in BTC with up to eight decimals")
    satoshis = int(whole or "0") * 100_000_000 + int(fraction.ljust(8, "0"))
    if satoshis > 21_000_000 * 100_000_000:
        raise BadValue("expected an amount of at most 21000000 BTC")
    return satoshis
