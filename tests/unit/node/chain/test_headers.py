"""The tree: best chain, forks, locators, Core's words for branches' ends. No kernel."""

from bitcoind_mp.node.chain.header import BlockNode, Validity, difficulty_of
from bitcoind_mp.node.chain.headers import HeaderTree
from bitcoind_mp.node.chain.params import params_for

GENESIS = params_for("regtest").genesis_raw[:80]


def tree() -> HeaderTree:
    return HeaderTree(BlockNode(GENESIS, None))


def header_on(previous: bytes, nonce: int, time: int = 1_600_000_000) -> bytes:
    bits = (0x207FFFFF).to_bytes(4, "little")
    return (
        b"\x00\x00\x00\x20"
        + previous[::-1]
        + bytes(32)
        + time.to_bytes(4, "little")
        + bits
        + nonce.to_bytes(4, "little")
    )


def grow(headers: HeaderTree, start: BlockNode, count: int, nonce: int = 0, *, connect: bool = True) -> list[BlockNode]:
    nodes = []
    for _ in range(count):
        node = headers.add(header_on(start.hash, nonce, start.time + 1))
        assert node is not None
        if connect:
            headers.received(node, 1)
            headers.connected(node)
        nodes.append(node)
        start = node
    return nodes


def test_a_node_reads_its_header() -> None:
    genesis = tree().genesis
    assert genesis.hash.hex() == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    assert genesis.merkle_root.hex() == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert (genesis.version, genesis.time, genesis.bits, genesis.nonce) == (1, 1296688602, 0x207FFFFF, 2)
    assert genesis.previous_hash == bytes(32)
    assert genesis.chain_work == 2
    assert genesis.median_time == genesis.time


def test_difficulty_is_core_s_as_it_prints_it() -> None:
    assert difficulty_of(0x1D00FFFF) == 1.0
    assert f"{difficulty_of(0x207FFFFF):.16g}" == "4.656542373906925e-10"
    assert difficulty_of(0x1B0404CB) == 16307.420938523983


def test_the_median_is_of_eleven_times() -> None:
    headers = tree()
    nodes = grow(headers, headers.genesis, 12)
    assert nodes[11].median_time == nodes[6].time
    assert nodes[1].median_time == nodes[0].time


def test_the_active_chain_is_indexed_by_height() -> None:
    headers = tree()
    nodes = grow(headers, headers.genesis, 5)
    assert headers.tip is nodes[4]
    assert headers.by_height(3) is nodes[2]
    assert headers.by_height(6) is None
    assert headers.by_height(-1) is None
    assert headers.next(nodes[1]) is nodes[2]
    assert headers.next(nodes[4]) is None
    assert headers.ancestor(nodes[4], 2) is nodes[1]
    assert headers.ancestor(nodes[1], 3) is None


def test_a_header_without_a_parent_is_not_taken() -> None:
    headers = tree()
    assert headers.add(header_on(b"\x07" * 32, 0)) is None
    assert len(headers) == 1


def test_ancestors_on_a_fork_and_the_last_common_block() -> None:
    headers = tree()
    main = grow(headers, headers.genesis, 6)
    fork = grow(headers, main[2], 2, nonce=9, connect=False)
    assert headers.ancestor(fork[1], 4) is fork[0]
    assert headers.ancestor(fork[1], 2) is main[1]
    assert headers.last_common(fork[1], main[5]) is main[2]
    assert headers.fork_from_active(fork[1]) is main[2]
    assert not headers.contains(fork[0])


def test_a_reorganisation_moves_the_active_chain() -> None:
    headers = tree()
    main = grow(headers, headers.genesis, 4)
    fork = grow(headers, main[1], 4, nonce=9, connect=False)
    for node in reversed(main[2:]):
        headers.disconnected(node)
    assert headers.tip is main[1]
    for node in fork:
        headers.received(node, 1)
        headers.connected(node)
    assert headers.tip is fork[3]
    assert [headers.by_height(height) for height in (2, 3, 6)] == [main[1], fork[0], fork[3]]
    assert not headers.contains(main[3])


def test_headers_ahead_of_the_blocks_have_ancestors_too() -> None:
    headers = tree()
    grow(headers, headers.genesis, 3)
    ahead = grow(headers, headers.tip, 50, connect=False)
    assert headers.best_header is ahead[-1]
    assert headers.ancestor(ahead[-1], 10) is ahead[6]


def test_the_best_header_is_the_first_seen_of_equals() -> None:
    headers = tree()
    first = grow(headers, headers.genesis, 2, connect=False)
    grow(headers, headers.genesis, 2, nonce=9, connect=False)
    assert headers.best_header is first[1]


def test_a_locator_thins_out_and_ends_with_genesis() -> None:
    headers = tree()
    nodes = grow(headers, headers.genesis, 100)
    heights = [headers.by_hash(hash).height for hash in headers.locator()]  # type: ignore[union-attr]
    assert heights == [100, 99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 89, 87, 83, 75, 59, 27, 0]
    assert headers.fork_point(headers.locator(nodes[40])) is nodes[40]


def test_a_locator_from_a_fork_leads_to_where_it_left() -> None:
    headers = tree()
    main = grow(headers, headers.genesis, 20)
    fork = grow(headers, main[9], 3, nonce=9, connect=False)
    assert headers.fork_point(headers.locator(fork[2])) is main[9]
    assert headers.fork_point([b"\x01" * 32, main[4].hash]) is main[4]
    assert headers.fork_point([b"\x01" * 32]) is headers.genesis


def test_the_first_block_at_a_time_goes_by_the_running_maximum() -> None:
    headers = tree()
    walk = headers.genesis
    for time in (1_600_000_010, 1_600_000_005, 1_600_000_020):
        node = headers.add(header_on(walk.hash, 0, time))
        assert node is not None
        headers.received(node, 1)
        headers.connected(node)
        walk = node
    found = headers.earliest_at_least(1_600_000_006)
    assert found is not None and found.height == 1
    found = headers.earliest_at_least(1_600_000_006, 2)
    assert found is not None and found.height == 2
    assert headers.earliest_at_least(1_600_000_021) is None


def test_tips_have_core_s_words() -> None:
    headers = tree()
    main = grow(headers, headers.genesis, 6)
    only_headers = grow(headers, main[0], 2, nonce=1, connect=False)
    stored = grow(headers, main[1], 2, nonce=2, connect=False)
    for node in stored:
        headers.received(node, 1)
    once_active = grow(headers, main[2], 1, nonce=3, connect=False)
    headers.received(once_active[0], 1)
    once_active[0].validity = Validity.SCRIPTS
    bad = grow(headers, main[3], 2, nonce=4, connect=False)
    headers.invalidate(bad[0])
    words = {node: (length, word) for node, length, word in headers.tips()}
    assert words == {
        main[5]: (0, "active"),
        only_headers[1]: (2, "headers-only"),
        stored[1]: (2, "valid-headers"),
        once_active[0]: (1, "valid-fork"),
        bad[1]: (2, "invalid"),
    }
    assert [node.height for node, _, _ in headers.tips()] == [6, 6, 4, 4, 3]


def test_a_block_that_comes_before_its_parent_counts_when_the_parent_is_there() -> None:
    headers = tree()
    nodes = grow(headers, headers.genesis, 3, connect=False)
    headers.received(nodes[2], 7)
    headers.received(nodes[1], 5)
    assert nodes[2].chain_tx_count == 0
    headers.received(nodes[0], 3)
    assert [node.chain_tx_count for node in nodes] == [4, 9, 16]


def test_an_invalid_block_takes_its_descendants_and_the_best_header_with_it() -> None:
    headers = tree()
    main = grow(headers, headers.genesis, 3)
    bad = grow(headers, main[1], 5, nonce=9, connect=False)
    assert headers.best_header is bad[4]
    headers.invalidate(bad[0])
    assert all(node.failed for node in bad)
    assert headers.best_header is main[2]
    late = headers.add(header_on(bad[4].hash, 0))
    assert late is not None and late.failed
