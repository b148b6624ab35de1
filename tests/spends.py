"""PSBTs that spend a signer's addresses, as a wallet shows them: key origins, whole previous transactions."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from btclib.script.script_pub_key import ScriptPubKey, is_p2tr
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from btclib_wallet.descriptors import parse
from btclib_wallet.psbt import Psbt, PsbtIn, PsbtOut

from bitcoind_mp.interfaces.signer import KeySet
from bitcoind_mp.signing.psbt_reader import decode_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt

COIN = 100_000_000
STRANGER = bytes.fromhex("0014") + b"\x11" * 20
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Address:
    """An address of a key set's: its script, and who derives it."""

    keys: KeySet
    type: str = "bech32"
    internal: bool = False
    index: int = 0

    @property
    def script(self) -> bytes:
        return self._parsed().script_pub_keys(self.index)[0].script

    def _parsed(self):
        text = next(d.normalized for d in self.keys.descriptors if (d.type, d.internal) == (self.type, self.internal))
        return parse(text, "regtest")

    def tell(self, part: PsbtIn | PsbtOut) -> None:
        """Put the key's origin, and the script that it takes, into an input or output."""
        provider = self._parsed().provider(self.index)
        if is_p2tr(self.script):
            part.taproot_hd_key_paths = {sec[1:]: ([], origin) for sec, origin in provider.keys.items()}
        else:
            part.hd_key_paths = dict(provider.keys)
        if self.type == "p2sh-segwit":
            part.redeem_script = provider.scripts[0]


@dataclass(frozen=True)
class Coin:
    """What an address was paid."""

    address: Address
    amount: int
    parent: Tx

    @classmethod
    def to(cls, address: Address, amount: int = COIN) -> "Coin":
        before = OutPoint(next(_numbers).to_bytes(32, "big"), 0)
        return cls(address, amount, Tx(2, 0, [TxIn(before)], [_out(address.script, amount)], check_validity=False))


Output = tuple[bytes, int] | tuple[Address, int]


def spend(coins: Sequence[Coin], outputs: Iterable[Output], *, told: Iterable[int] | None = None) -> str:
    """A PSBT, Base64. ``told``: the inputs of which the origin is told, by default all."""
    outputs = list(outputs)
    scripts = [to.script if isinstance(to, Address) else to for to, _ in outputs]
    tx = Tx(
        2,
        0,
        [TxIn(OutPoint(coin.parent.id, 0), b"", 0xFFFFFFFD) for coin in coins],
        [_out(script, amount) for script, (_, amount) in zip(scripts, outputs, strict=True)],
        check_validity=False,
    )
    psbt = Psbt.from_tx(tx, check_validity=False)
    for index, (coin, psbt_in) in enumerate(zip(coins, psbt.inputs, strict=True)):
        psbt_in.non_witness_utxo = coin.parent
        if told is None or index in told:
            coin.address.tell(psbt_in)
    for (to, _), psbt_out in zip(outputs, psbt.outputs, strict=True):
        if isinstance(to, Address):
            to.tell(psbt_out)
    return encode_psbt(psbt)


def changed(text: str, change) -> str:
    """The PSBT after ``change(psbt)``."""
    psbt = decode_psbt(text)
    change(psbt)
    return encode_psbt(psbt)


def signed_inputs(text: str) -> list[int]:
    """The inputs that have a signature."""
    psbt = decode_psbt(text)
    return [n for n, one in enumerate(psbt.inputs) if one.partial_sigs or one.taproot_key_spend_signature]


def _out(script: bytes, amount: int) -> TxOut:
    return TxOut(amount, ScriptPubKey(script, "regtest", check_validity=False))
