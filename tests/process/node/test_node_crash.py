"""kill -9 of the node: whatever it acknowledged is there afterwards. The oracle is the client's own record."""

import random
import threading
from typing import Any

import pytest
from forks import Launch, fork

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError

GONE = (OSError, Disconnected, CallTimeout)
ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OTHER = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
ROUNDS = 12


class Client(threading.Thread):
    """Mines and submits as fast as it is answered, and writes down what was acknowledged."""

    def __init__(self, node: Any, blocks: list[str]) -> None:
        super().__init__(daemon=True)
        self.node = node
        self.waiting = list(blocks)
        self.acknowledged: list[str] = []

    def run(self) -> None:
        try:
            while self.waiting:
                if self.node.call("submitblock", self.waiting[0]) in (None, "duplicate"):
                    self.acknowledged.append(self.waiting[0])
                self.waiting.pop(0)
        except GONE:
            pass


def header_hash(raw: str) -> str:
    from btclib.hashes import hash256

    return hash256(bytes.fromhex(raw)[:80])[::-1].hex()


@pytest.fixture
def launch() -> Launch:
    """What is tested begins when a node has been started."""
    return fork


#: Mined once.
_BLOCKS: list[str] = []


@pytest.fixture
def blocks(make_node) -> list[str]:
    """Blocks that a node of its own mined: hex, by height from 1."""
    if not _BLOCKS:
        source = make_node("source").start()
        hashes = source.call("generatetoaddress", 150, ADDRESS)
        raws = [source.call("getblock", hash, 0) for hash in hashes]
        assert source.stop() == 0
        _BLOCKS.extend(raws)
    return list(_BLOCKS)


def test_a_block_that_was_acknowledged_is_there_after_a_kill(node, blocks) -> None:
    """At once after the answer, many times over, each time on top of what the last life left."""
    for height, raw in enumerate(blocks[:ROUNDS], 1):
        node.start()
        assert node.call("getblockcount") == height - 1
        assert node.call("submitblock", raw) is None
        node.kill()
    node.start()
    assert node.call("getblockcount") == ROUNDS
    assert [node.call("getblock", header_hash(raw), 0) for raw in blocks[:ROUNDS]] == blocks[:ROUNDS]
    assert node.stop() == 0
    node.start()
    assert node.call("getblockcount") == ROUNDS


def test_kills_with_calls_in_flight_lose_nothing_that_was_acknowledged(node, blocks) -> None:
    dice = random.Random(1)
    kept: list[str] = []
    left = blocks
    for _ in range(ROUNDS):
        node.start()
        assert node.call("getblockcount") >= len(kept)
        client = Client(node, left)
        client.start()
        client.join(dice.uniform(0.0, 0.03))
        node.kill()
        client.join(10)
        kept += client.acknowledged
        left = blocks[len(kept) :]
    node.start()
    height = node.call("getblockcount")
    assert len(kept) <= height <= len(kept) + 1, "no more than the one in flight besides"
    assert node.call("getblockhash", len(kept)) == header_hash(kept[-1])
    assert len(kept) > 0


def test_a_kill_while_the_journal_is_replayed_loses_nothing_either(node, blocks, eventually) -> None:
    node.start()
    for raw in blocks:
        node.call("submitblock", raw)
    node.kill()
    dice = random.Random(2)
    for _ in range(ROUNDS):
        node.spawn()
        pause = threading.Event()
        # From before it opens anything until after the replay.
        pause.wait(dice.uniform(0.0, 0.5))
        node.kill()
    node.start()
    assert node.call("getblockcount") == len(blocks)
    assert node.call("getbestblockhash") == header_hash(blocks[-1])
    assert node.call("gettxoutsetinfo")["height"] == len(blocks)


def test_a_reorganisation_survives_a_kill(node, make_node, blocks) -> None:
    other = make_node("other").start()
    for raw in blocks[:5]:
        other.call("submitblock", raw)
    fork = [other.call("getblock", hash, 0) for hash in other.call("generatetoaddress", 4, OTHER)]
    node.start()
    for raw in [*blocks[:8], *fork]:
        node.call("submitblock", raw)
    assert node.call("getbestblockhash") == header_hash(fork[-1])
    coins = node.call("gettxoutsetinfo")["hash_serialized_3"]
    node.kill()
    node.start()
    assert node.call("getbestblockhash") == header_hash(fork[-1])
    assert node.call("gettxoutsetinfo")["hash_serialized_3"] == coins
    tips = {tip["hash"]: tip["status"] for tip in node.call("getchaintips")}
    assert tips == {header_hash(fork[-1]): "active", header_hash(blocks[7]): "valid-fork"}


def test_the_indexes_are_whole_after_kills(node, blocks, eventually) -> None:
    dice = random.Random(3)
    options = ("-txindex", "-blockfilterindex")
    step = len(blocks) // 5
    for round_ in range(5):
        node.start(*options)
        client = Client(node, blocks[round_ * step : (round_ + 1) * step])
        client.start()
        client.join(dice.uniform(0.02, 0.1))
        node.kill()
        client.join(10)
    node.start(*options)
    for raw in blocks:
        node.call("submitblock", raw)
    count = len(blocks)
    eventually(
        lambda: all(i == {"synced": True, "best_block_height": count} for i in node.call("getindexinfo").values())
    )
    for raw in blocks:
        block = node.call("getblock", header_hash(raw), 1)
        assert node.call("getrawtransaction", block["tx"][0], 1)["blockhash"] == block["hash"]
        assert node.call("getblockfilter", block["hash"])["filter"]


def test_a_mempool_transaction_that_was_acknowledged_is_there_after_a_kill(node) -> None:
    key = "cVpPVruEDdmutPzisEsYvtST1usBR3ntr8pXSyt6D2YYqXRyPcFW"
    address = node.start().call("deriveaddresses", node.call("getdescriptorinfo", f"wpkh({key})")["descriptor"])[0]
    hashes = node.call("generatetoaddress", 110, address)
    sent = []
    for height in range(4):
        coinbase = node.call("getblock", hashes[height], 2)["tx"][0]
        bare = node.call("createrawtransaction", [{"txid": coinbase["txid"], "vout": 0}], [{address: 49.999}])
        previous = {
            "txid": coinbase["txid"],
            "vout": 0,
            "scriptPubKey": coinbase["vout"][0]["scriptPubKey"]["hex"],
            "amount": 50,
        }
        signed = node.call("signrawtransactionwithkey", bare, [key], [previous])
        sent.append(node.call("sendrawtransaction", signed["hex"]))
        node.kill()
        node.start()
        assert sorted(node.call("getrawmempool")) == sorted(sent)
        assert node.call("getblockcount") == 110
    node.call("generatetoaddress", 1, address)
    node.kill()
    node.start()
    assert node.call("getrawmempool") == []
    assert set(sent) <= set(node.call("getblock", node.call("getbestblockhash"))["tx"])


def test_calls_after_a_kill_see_errors_and_never_wrong_answers(node, blocks) -> None:
    node.start()
    node.call("submitblock", blocks[0])
    node.kill()
    with pytest.raises(GONE):
        node.call("getblockcount", timeout=1)
    node.start()
    with pytest.raises(RpcError):
        node.call("getblockhash", 2)
    assert node.call("getblockhash", 1) == header_hash(blocks[0])
