"""Secrets at rest and in memory."""

import asyncio

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.signing.sealing import Cost, WrongPassphrase, open_master_key, seal, seal_master_key, unseal, wipe
from bitcoind_mp.wallet.keyring.keystore import KeyStore, prepare_encryption
from bitcoind_mp.wallet.storage.ledger import Ledger

CHEAP = Cost(passes=1, lanes=1, memory=8)
GENESIS = "ab" * 32
SECRET = (
    "tprv8ZgxMBicQKsPdBNKLoqKtUH2KdteQ3DGBFyUggY8i5Qi1v6km9UHTcEr8z9Ca3gGkvTDQY55k717u8WkF4JTpPN2dvmSnsC8VihU8YeVv3y"
)


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "wallet.sqlite"
    Ledger.create(path, "regtest", GENESIS, lambda ledger: None)
    ledger = Ledger.open(path, "regtest", GENESIS)
    yield ledger
    ledger.close()


def store_with_secret(ledger):
    keys = KeyStore(ledger, CHEAP)
    with ledger.transaction():
        keys.add("xpub", SECRET)
    return keys


def encrypt(ledger, keys, passphrase="pass"):
    prepared = asyncio.run(prepare_encryption(passphrase, CHEAP))
    with ledger.transaction():
        keys.encrypt(*prepared)


def files(ledger):
    return b"".join(file.read_bytes() for file in ledger.path.parent.glob("wallet.sqlite*"))


def test_an_open_store_gives_what_it_holds(ledger):
    keys = store_with_secret(ledger)
    assert not keys.is_encrypted
    assert keys.secret("xpub") == SECRET
    assert keys.holds("xpub")
    assert not keys.holds("other")
    with pytest.raises(KeyError):
        keys.secret("other")


def test_encryption_leaves_no_secret_in_the_file_and_none_readable_when_locked(ledger):
    keys = store_with_secret(ledger)
    assert SECRET.encode() in files(ledger)
    encrypt(ledger, keys)
    ledger.rewrite()
    assert SECRET.encode() not in files(ledger)
    assert keys.secret("xpub") == SECRET
    keys.lock()
    assert keys.is_locked
    with pytest.raises(RpcError) as refusal:
        keys.secret("xpub")
    assert refusal.value.code == RpcCode.WALLET_UNLOCK_NEEDED
    assert keys.holds("xpub")


def test_only_the_passphrase_opens_it_also_after_a_restart(ledger):
    encrypt(ledger, store_with_secret(ledger))
    keys = KeyStore(ledger, CHEAP)
    assert keys.is_locked
    assert not asyncio.run(keys.unlock("Pass"))
    assert keys.is_locked
    assert asyncio.run(keys.unlock("pass"))
    assert keys.secret("xpub") == SECRET


def test_what_is_added_later_is_sealed_too_and_needs_the_store_open(ledger):
    keys = store_with_secret(ledger)
    encrypt(ledger, keys)
    with ledger.transaction():
        keys.add("second", "another private key of ours")
    assert b"another private key" not in files(ledger)
    keys.lock()
    with pytest.raises(RpcError), ledger.transaction():
        keys.add("third", "x")
    assert not keys.holds("third")


def test_a_new_passphrase_replaces_the_old(ledger):
    keys = store_with_secret(ledger)
    encrypt(ledger, keys)
    keys.lock()
    assert not asyncio.run(keys.change_passphrase("wrong", "new"))
    assert asyncio.run(keys.change_passphrase("pass", "new"))
    assert keys.is_locked
    assert not asyncio.run(keys.unlock("pass"))
    assert asyncio.run(keys.unlock("new"))
    assert keys.secret("xpub") == SECRET


def test_an_encryption_that_could_not_be_written_leaves_the_store_open(ledger):
    keys = store_with_secret(ledger)
    ledger.on_rollback = keys.reload
    prepared = asyncio.run(prepare_encryption("pass", CHEAP))
    with pytest.raises(RuntimeError), ledger.transaction():
        keys.encrypt(*prepared)
        raise RuntimeError
    assert not keys.is_encrypted
    assert keys.secret("xpub") == SECRET


def test_a_seal_is_bound_to_its_name():
    key = bytes(32)
    sealed = seal(key, b"one", b"secret")
    assert unseal(key, b"one", sealed) == b"secret"
    for name, value in ((b"two", sealed), (b"one", sealed[:-1] + bytes([sealed[-1] ^ 1]))):
        with pytest.raises(WrongPassphrase):
            unseal(key, name, value)


def test_the_cost_is_kept_with_the_key_and_bound_to_it():
    stored = seal_master_key("pass", b"k" * 32, CHEAP)
    assert bytes(open_master_key("pass", stored)) == b"k" * 32
    dearer = stored[:16] + (2).to_bytes(4, "big") + stored[20:]
    with pytest.raises(WrongPassphrase):
        open_master_key("pass", dearer)


def test_wiping_overwrites():
    secret = bytearray(b"secret")
    wipe(secret)
    assert secret == bytes(6)
