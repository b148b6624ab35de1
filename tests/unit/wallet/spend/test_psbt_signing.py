"""`walletprocesspsbt` and `signrawtransactionwithwallet`: every kind of script that descriptors can say."""

import sys
import threading
from dataclasses import dataclass

import pytest
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut
from btclib_wallet.bip32 import xpub_from_xprv
from btclib_wallet.descriptors import add_checksum
from btclib_wallet.psbt import Psbt

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.signing.psbt import utxos_of
from bitcoind_mp.signing.psbt_reader import decode_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt
from bitcoind_mp.signing.sealing import Cost, new_master_key, seal_master_key
from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.importing import ImportRequest, import_descriptor
from bitcoind_mp.wallet.rpc.psbt import PsbtCommands
from bitcoind_mp.wallet.rpc.rawsign import SigningCommands
from bitcoind_mp.wallet.storage.flags import DISABLE_PRIVATE_KEYS

COIN = 100_000_000
A = "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK"
B = "tprv8ZgxMBicQKsPePwM6tUwy3UkBVGiB34jSieX1xki8MLqVMKmMj7S6cgY9faAWd3HV2ekvSKKP5TWr27NdCacqxVkybVJ23vnJooVPLHsRCk"
A_PUB, B_PUB = xpub_from_xprv(A), xpub_from_xprv(B)
NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"

#: what one wallet signs alone
ALONE = {
    "pkh": f"pkh({A}/1/*)",
    "p2sh-wpkh": f"sh(wpkh({A}/2/*))",
    "wpkh": f"wpkh({A}/3/*)",
    "tr key path": f"tr({A}/4/*,pk({B_PUB}/4/*))",
    "tr script path": f"tr({NUMS},pk({A}/5/*))",
    "tr one leaf of two": f"tr({B_PUB}/6/*,{{pk({A}/6/*),multi_a(2,{A}/7/*,{B_PUB}/7/*)}})",
    "tr multi_a": f"tr({NUMS},multi_a(1,{A}/8/*,{B_PUB}/8/*))",
    "rawtr": f"rawtr({A}/9/*)",
    "pk": f"pk({A}/10/*)",
    "bare multisig": f"multi(1,{B_PUB}/11/*,{A}/11/*)",
    "p2sh multisig": f"sh(multi(1,{A}/12/*,{B_PUB}/12/*))",
    "p2wsh multisig": f"wsh(sortedmulti(1,{A}/13/*,{B_PUB}/13/*))",
    "p2sh-p2wsh": f"sh(wsh(multi(1,{A}/14/*,{B_PUB}/14/*)))",
    "miniscript": f"wsh(or_d(pk({B_PUB}/15/*),and_v(v:pkh({A}/15/*),older(3))))",
    "miniscript in a leaf": f"tr({NUMS},and_v(v:pk({A}/16/*),older(3)))",
}


@dataclass
class Spender:
    """A wallet of one descriptor, with a coin of it."""

    purse: object
    coin: Tx
    run: object
    call: object

    def psbt(self, *, sequence: int = 5) -> str:
        tx = Tx(2, 0, [self.input(sequence)], [TxOut(COIN - 1_000, b"\x00\x14" + bytes(20))], check_validity=False)
        return encode_psbt(Psbt.from_tx(tx, check_validity=False))

    def secrets(self) -> dict[bytes, bytes]:
        wallet = self.purse.wallet
        return wallet.private_keys(wallet.owner(self.coin.vout[0].script_pub_key.script))

    def input(self, sequence: int) -> TxIn:
        return TxIn(TxOutPoint(self.coin.id, 0), b"", sequence, check_validity=False)

    def process(self, psbt: str, **options):
        return self.run(PsbtCommands(self.purse).walletprocesspsbt(self.call, psbt, **options))

    def sign_raw(self, tx: Tx, **options):
        raw = tx.serialize(include_witness=True, check_validity=False).hex()
        return self.run(SigningCommands(self.purse).signrawtransactionwithwallet(self.call, raw, **options))


@pytest.fixture
def spender(make_purse, run, call):
    """A new wallet with a descriptor beside its own, and a coin at its index 2."""

    def make(descriptor: str, name: str = "wallet", *, watch_only: bool = False) -> Spender:
        purse = make_purse(name)
        if watch_only:
            with purse.wallet.ledger.transaction():
                purse.wallet.flags.set(DISABLE_PRIVATE_KEYS)
        request = ImportRequest(add_checksum(descriptor), 0, range=(0, 4) if "*" in descriptor else None)
        run(import_descriptor(purse.wallet, request, 0))
        found = list(purse.wallet.descriptors)[-1]
        return Spender(purse, purse.fund(COIN, script=found.scripts(2 if found.is_ranged else 0)[0]), run, call)

    return make


@pytest.mark.parametrize("kind", list(ALONE))
def test_one_wallet_signs(spender, kind) -> None:
    """The node in memory runs the scripts."""
    mine = spender(ALONE[kind])
    done = mine.process(mine.psbt())
    assert list(done) == ["psbt", "complete", "hex"]
    assert done["complete"] is True
    assert mine.run(mine.purse.node.broadcast(done["hex"], None)) in mine.purse.node.mempool
    tx = Tx(2, 0, [mine.input(5)], [TxOut(COIN - 1_000, b"\x00\x14" + bytes(20))], check_validity=False)
    assert mine.sign_raw(tx) == {"hex": done["hex"], "complete": True}


@pytest.mark.parametrize("kind", list(ALONE))
def test_updating_signs_nothing(spender, kind) -> None:
    mine = spender(ALONE[kind])
    updated = mine.process(mine.psbt(), sign=False)
    assert list(updated) == ["psbt", "complete"]
    psbt_in = decode_psbt(updated["psbt"]).inputs[0]
    assert not psbt_in.partial_sigs
    assert not psbt_in.taproot_key_spend_signature
    assert not psbt_in.taproot_script_spend_signatures
    assert psbt_in.hd_key_paths or psbt_in.taproot_hd_key_paths
    bare = decode_psbt(mine.process(mine.psbt(), sign=False, bip32derivs=False)["psbt"]).inputs[0]
    assert not bare.hd_key_paths
    assert not bare.taproot_hd_key_paths


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (f"wsh(multi(2,{A}/20/*,{B_PUB}/20/*))", f"wsh(multi(2,{A_PUB}/20/*,{B}/20/*))"),
        (f"sh(multi(2,{A}/21/*,{B_PUB}/21/*))", f"sh(multi(2,{A_PUB}/21/*,{B}/21/*))"),
        (f"tr({NUMS},multi_a(2,{A}/22/*,{B_PUB}/22/*))", f"tr({NUMS},multi_a(2,{A_PUB}/22/*,{B}/22/*))"),
        (
            f"wsh(and_v(v:pk({A}/23/*),pk({B_PUB}/23/*)))",
            f"wsh(and_v(v:pk({A_PUB}/23/*),pk({B}/23/*)))",
        ),
    ],
    ids=["wsh", "sh", "tr", "miniscript"],
)
def test_two_wallets_sign_one_after_the_other(spender, mine, theirs) -> None:
    first = spender(mine, "first")
    second = spender(theirs, "second")
    half = first.process(first.psbt())
    assert half["complete"] is False
    assert first.process(half["psbt"])["psbt"] == half["psbt"]
    done = second.process(half["psbt"])
    assert done["complete"] is True
    assert first.run(first.purse.node.broadcast(done["hex"], None)) in first.purse.node.mempool


#: keys that sign together (MuSig2): as the output's own, derived from their aggregate, below a tree, in a leaf
TOGETHER = {
    "of each index": "tr(musig({}/50/*,{}/50/*))",
    "derived from the aggregate": "tr(musig({},{})/51/*)",
    "raw": "rawtr(musig({}/52/*,{}/52/*))",
    "in a leaf": f"tr({NUMS},pk(musig({{}}/53/*,{{}}/53/*)))",
    "derived in a leaf": f"tr({NUMS},{{{{pk({NUMS}),pk(musig({{}},{{}})/54/*)}}}})",
    "above a leaf": f"tr(musig({{}}/55/*,{{}}/55/*),pk({NUMS}))",
}


@pytest.mark.parametrize("shape", list(TOGETHER))
def test_two_wallets_sign_together_in_two_rounds(spender, shape) -> None:
    first = spender(TOGETHER[shape].format(A, B_PUB), "first")
    second = spender(TOGETHER[shape].format(A_PUB, B), "second")
    begun = first.process(first.psbt())
    assert begun["complete"] is False
    psbt_in = decode_psbt(begun["psbt"]).inputs[0]
    assert (len(psbt_in.musig2_participant_pub_keys), len(psbt_in.musig2_pub_nonces)) == (1, 1)
    assert first.process(begun["psbt"]) == begun
    met = second.process(begun["psbt"])
    psbt_in = decode_psbt(met["psbt"]).inputs[0]
    assert (len(psbt_in.musig2_pub_nonces), len(psbt_in.musig2_partial_sigs)) == (2, 0)
    half = first.process(met["psbt"])
    assert len(decode_psbt(half["psbt"]).inputs[0].musig2_partial_sigs) == 1
    assert first.process(met["psbt"])["psbt"] == met["psbt"], "a nonce signs once"
    signed = second.process(half["psbt"])
    assert signed["complete"] is False
    assert len(decode_psbt(signed["psbt"]).inputs[0].musig2_partial_sigs) == 2
    done = first.process(signed["psbt"])
    assert done["complete"] is True
    assert first.run(first.purse.node.broadcast(done["hex"], None)) in first.purse.node.mempool


def test_a_wallet_that_has_all_keys_of_an_aggregate_takes_both_rounds_too(spender) -> None:
    mine = spender(f"tr(musig({A}/56/*,{B}/56/*))")
    psbt = mine.psbt()
    for complete in (False, False, True):
        done = mine.process(psbt)
        assert done["complete"] is complete
        psbt = done["psbt"]
    assert mine.run(mine.purse.node.broadcast(done["hex"], None)) in mine.purse.node.mempool


def test_another_s_nonsense_ends_in_no_signature(spender) -> None:
    first = spender(TOGETHER["of each index"].format(A, B_PUB), "first")
    second = spender(TOGETHER["of each index"].format(A_PUB, B), "second")
    psbt = decode_psbt(second.process(first.process(first.psbt())["psbt"])["psbt"])
    nonces = psbt.inputs[0].musig2_pub_nonces
    theirs = next(name for name in nonces if name[:33] not in {*first.secrets()})
    good = nonces[theirs]
    nonces[theirs] = b"\x02" + b"\xff" * 32 + good[33:]
    assert not decode_psbt(first.process(encode_psbt(psbt))["psbt"]).inputs[0].musig2_partial_sigs
    psbt.inputs[0].musig2_partial_sigs = dict.fromkeys(nonces, b"\x01" * 32)
    nonces[theirs] = good
    assert first.process(encode_psbt(psbt))["complete"] is False


@pytest.mark.parametrize("shape", ["sh(multi(2,{},{}))", "wsh(multi(2,{},{}))", "tr({nums},multi_a(2,{},{}))"])
@pytest.mark.parametrize("type", list(OutputType))
def test_keys_are_found_though_the_input_tells_no_origin(spender, make_purse, type, shape) -> None:
    """A multisig of bare public keys, which are those of two addresses of the wallet's."""
    owner = make_purse("owner")
    keys = []
    for script in (owner.script(type), owner.script(type)):
        found = owner.wallet.owner(script)
        (key,) = owner.wallet.private_keys(found)
        keys.append(key.hex() if "tr(" not in shape else key[1:].hex())
    watcher = spender(shape.format(*keys, nums=NUMS), "watcher", watch_only=True)
    told = watcher.process(watcher.psbt(), sign=False)["psbt"]
    done = watcher.run(PsbtCommands(owner).walletprocesspsbt(watcher.call, told))
    assert done["complete"] is True
    assert watcher.run(watcher.purse.node.broadcast(done["hex"], None)) in watcher.purse.node.mempool


def test_a_key_imported_alone_is_found_among_others(spender, make_purse) -> None:
    """By itself, not by an origin: the descriptor is of one key, without a path."""
    wif = "cMahea7zqjxrtgAbB7LSGbcQUr1uX1ojuat9jZodMN87JcbXMTcA"
    mine = spender(f"wsh(multi(1,{wif},{B_PUB}/40/0))", "mine")
    public = next(
        iter(mine.purse.wallet.private_keys(mine.purse.wallet.owner(mine.coin.vout[0].script_pub_key.script)))
    )
    watcher = spender(f"wsh(and_v(v:pk({public.hex()}),older(3)))", "watcher", watch_only=True)
    told = watcher.process(watcher.psbt(), sign=False)["psbt"]
    assert watcher.run(PsbtCommands(mine.purse).walletprocesspsbt(watcher.call, told))["complete"] is True


def test_what_is_complete_can_stay_unfinalized(spender) -> None:
    mine = spender(ALONE["wpkh"])
    signed = mine.process(mine.psbt(), finalize=False)
    assert signed["complete"] is False
    psbt_in = decode_psbt(signed["psbt"]).inputs[0]
    assert len(psbt_in.partial_sigs) == 1
    assert not psbt_in.final_script_witness.stack
    assert mine.process(signed["psbt"])["complete"] is True


def test_outputs_of_the_wallets_are_told(spender) -> None:
    mine = spender(ALONE["wpkh"])
    outputs = [TxOut(COIN // 5, mine.purse.script(type)) for type in OutputType]
    tx = Tx(2, 0, [mine.input(5)], outputs, check_validity=False)
    psbt = decode_psbt(mine.process(encode_psbt(Psbt.from_tx(tx, check_validity=False)))["psbt"])
    assert [bool(out.hd_key_paths) for out in psbt.outputs] == [True, True, True, False]
    assert psbt.outputs[1].redeem_script
    assert psbt.outputs[3].taproot_internal_key


@pytest.mark.parametrize(
    ("tree", "depths"),
    [
        (f"pk({A}/30/*)", [0]),
        (f"{{pk({A}/30/*),pk({B_PUB}/31/*)}}", [1, 1]),
        (f"{{{{pk({A}/30/*),pk({A}/31/*)}},{{pk({A}/32/*),{{pk({A}/33/*),pk({A}/34/*)}}}}}}", [3, 3, 2, 2, 2]),
        (f"{{pk({A}/30/*),pk({A}/30/*)}}", [1, 1]),
        (f"{{{{pk({A}/30/*),pk({A}/31/*)}},{{pk({A}/30/*),pk({A}/31/*)}}}}", [2, 2, 2, 2]),
    ],
    ids=["one leaf", "two leaves", "three levels", "a leaf twice", "a branch twice"],
)
def test_an_outputs_tree_is_told_from_right_to_left(spender, tree, depths) -> None:
    """As Core's builder has it; btclib says the descriptor's order."""
    mine = spender(f"tr({NUMS},{tree})")
    descriptor = list(mine.purse.wallet.descriptors)[-1]
    tx = Tx(2, 0, [mine.input(5)], [TxOut(COIN // 2, descriptor.scripts(3)[0])], check_validity=False)
    psbt = decode_psbt(mine.process(encode_psbt(Psbt.from_tx(tx, check_validity=False)), sign=False)["psbt"])
    told = psbt.outputs[0].taproot_tree
    assert [depth for depth, _, _ in told] == depths
    assert told == list(reversed(descriptor.parsed.taproot_tree(3)))


def test_the_work_all_inputs_share_is_done_once(spender) -> None:
    mine = spender(ALONE["wpkh"])
    script = mine.coin.vout[0].script_pub_key.script
    coins = [mine.coin, *(mine.purse.fund(COIN, script=script) for _ in range(5))]
    inputs = [TxIn(TxOutPoint(coin.id, 0), b"", 5, check_validity=False) for coin in coins]
    tx = Tx(2, 0, inputs, [TxOut(COIN, script)], check_validity=False)
    psbt = encode_psbt(Psbt.from_tx(tx, check_validity=False))
    calls = 0

    def count(frame, event, argument) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code is utxos_of.__code__

    threading.setprofile(count)  # signing has a thread of its own
    sys.setprofile(count)
    try:
        done = mine.process(psbt)
    finally:
        threading.setprofile(None)
        sys.setprofile(None)
    assert done["complete"] is True
    assert calls == len(["filling in", "finalizing"])


def test_a_hash_type_other_than_the_psbts_is_refused(spender) -> None:
    mine = spender(ALONE["wpkh"])
    asked = mine.process(mine.psbt(), sighashtype="ALL|ANYONECANPAY")
    assert asked["complete"] is True
    unfinished = mine.process(mine.psbt(), sighashtype="NONE", finalize=False)["psbt"]
    with pytest.raises(RpcError) as caught:
        mine.process(unfinished, sighashtype="SINGLE")
    words = "Specified sighash value does not match value stored in PSBT"
    assert (caught.value.code, caught.value.message) == (-22, words)
    with pytest.raises(RpcError) as caught:
        mine.process(mine.psbt(), sighashtype="MOST")
    assert (caught.value.code, caught.value.message) == (-8, "'MOST' is not a valid sighash parameter.")


def test_what_is_no_psbt_is_refused(spender) -> None:
    mine = spender(ALONE["wpkh"])
    with pytest.raises(RpcError) as caught:
        mine.process("cHNidA")
    assert (caught.value.code, caught.value.message) == (-22, "TX decode failed invalid base64")


def test_a_locked_wallet_updates_and_does_not_sign(spender) -> None:
    mine = spender(ALONE["wpkh"])
    wallet, master = mine.purse.wallet, new_master_key()
    with wallet.ledger.transaction():
        wallet.keys.encrypt(seal_master_key("open", master, Cost(1, 1, 64)), master)
    wallet.keys.lock()
    assert decode_psbt(mine.process(mine.psbt(), sign=False)["psbt"]).inputs[0].hd_key_paths
    for action in (
        lambda: mine.process(mine.psbt()),
        lambda: mine.sign_raw(Tx(2, 0, [mine.input(5)], [TxOut(1, b"")])),
    ):
        with pytest.raises(RpcError) as caught:
            action()
        assert caught.value.code == -13


def test_an_input_of_nobodys_is_named(spender) -> None:
    mine = spender(ALONE["wpkh"])
    stranger = TxIn(TxOutPoint(b"\x33" * 32, 1), b"", 7, check_validity=False)
    tx = Tx(2, 0, [mine.input(5), stranger], [TxOut(1_000, b"\x00\x14" + bytes(20))], check_validity=False)
    result = mine.sign_raw(tx)
    assert list(result) == ["hex", "complete", "errors"]
    assert result["complete"] is False
    assert result["errors"] == [
        {
            "txid": "33" * 32,
            "vout": 1,
            "witness": [],
            "scriptSig": "",
            "sequence": 7,
            "error": "Input not found or already spent",
        }
    ]
    assert len(Tx.parse(bytes.fromhex(result["hex"])).vin[0].script_witness.stack) == 2


def test_previous_outputs_can_be_told(spender) -> None:
    mine = spender(ALONE["wpkh"])
    script = list(mine.purse.wallet.descriptors)[-1].scripts(1)[0]
    prevtx = {"txid": "44" * 32, "vout": 0, "scriptPubKey": script.hex(), "amount": 1}
    unborn = TxIn(TxOutPoint(b"\x44" * 32, 0), b"", 7, check_validity=False)
    tx = Tx(2, 0, [unborn], [TxOut(1_000, b"\x00\x14" + bytes(20))], check_validity=False)
    assert mine.sign_raw(tx, prevtxs=[prevtx])["complete"] is True
    with pytest.raises(RpcError) as caught:
        mine.sign_raw(tx, prevtxs=[{key: value for key, value in prevtx.items() if key != "amount"}])
    assert caught.value.code == -3
    with pytest.raises(RpcError) as caught:
        mine.run(SigningCommands(mine.purse).signrawtransactionwithwallet(mine.call, "00"))
    assert (caught.value.code, caught.value.message) == (
        -22,
        "TX decode failed. Make sure the tx has at least one input.",
    )


def test_what_is_signed_comes_back_as_it_is(spender) -> None:
    """A signed transaction that comes in again comes back as it is."""
    mine = spender(ALONE["p2wsh multisig"])
    tx = Tx(2, 0, [mine.input(5)], [TxOut(COIN - 1_000, b"\x00\x14" + bytes(20))], check_validity=False)
    signed = mine.sign_raw(tx)
    assert mine.sign_raw(Tx.parse(bytes.fromhex(signed["hex"]))) == signed
