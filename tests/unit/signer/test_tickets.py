"""Passphrases that the owner entrusted: what a wallet can do with a ticket, and what it can't."""

import asyncio

import pytest
from spends import STRANGER, Address, Coin, signed_inputs, spend

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import TICKET, is_ticket
from bitcoind_mp.signer.counter import Counter
from bitcoind_mp.signer.owner import OwnerCommands
from bitcoind_mp.signer.tickets import Purpose, Tickets


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(clock: Clock) -> Tickets:
    return Tickets(clock)


def redeemed(tickets: Tickets, ticket: str, purpose: Purpose = Purpose.UNLOCK, about: str = "id") -> str:
    return tickets.redeem(ticket, purpose, about).passphrase


def test_a_ticket_is_good_once(tickets: Tickets) -> None:
    ticket = tickets.issue(Purpose.UNLOCK, "id", "secret", seconds=5)
    assert is_ticket(ticket)
    assert "secret" not in ticket
    assert redeemed(tickets, ticket) == "secret"
    with pytest.raises(RpcError, match="try again"):
        redeemed(tickets, ticket)


@pytest.mark.parametrize(("purpose", "about"), [(Purpose.CHANGE, "id"), (Purpose.UNLOCK, "other")])
def test_a_ticket_shown_for_something_else_is_void(tickets: Tickets, purpose: Purpose, about: str) -> None:
    ticket = tickets.issue(Purpose.UNLOCK, "id", "secret")
    for asked in ((purpose, about), (Purpose.UNLOCK, "id")):
        with pytest.raises(RpcError, match="told for something else"):
            redeemed(tickets, ticket, *asked)


def test_a_ticket_ages_and_gives_way(tickets: Tickets, clock: Clock) -> None:
    ticket = tickets.issue(Purpose.UNLOCK, "id", "secret")
    clock.now = 60.5
    with pytest.raises(RpcError):
        redeemed(tickets, ticket)
    issued = [tickets.issue(Purpose.UNLOCK, "id", str(number)) for number in range(101)]
    with pytest.raises(RpcError):
        redeemed(tickets, issued[0])
    assert redeemed(tickets, issued[-1]) == "100"


def at_the_counter(on_desk, scenario, *, relay: bool = False, **policy) -> None:
    """Run a scenario of a desk, of what its wallets are answered, and of the owner's commands."""

    async def prepared(desk) -> None:
        tickets = Tickets(asyncio.get_running_loop().time)
        owner = OwnerCommands(desk.vault, tickets, "regtest")
        await scenario(desk, Counter(desk.vault, tickets, relay=relay), owner)

    on_desk(prepared, **policy)


def test_a_wallet_s_life_without_its_learning_a_passphrase(on_desk):
    async def scenario(desk, counter, owner):
        async def told(*about):
            return (await owner.entrustpassphrase(*about))["ticket"]

        keys = await counter.make("w", await told("make", "w", "first"))
        answer = await owner.entrustpassphrase("unlock", "other", "x", "", 60)
        assert answer == {"ticket": None, "absent": False, "keysets": 1}
        assert await counter.unlock(keys.id, await told("unlock", "w", "wrong", "", 60), 60) is False
        assert await counter.unlock(keys.id, await told("unlock", "w", "first", "", 60), 60) is True
        text = spend([Coin.to(Address(keys))], [(STRANGER, 5)])
        assert signed_inputs(await counter.sign(keys.id, text)) == [0]
        await owner.entrustpassphrase("lock", "w")
        assert (await desk.refused(counter.sign(keys.id, text))).code == RpcCode.WALLET_UNLOCK_NEEDED
        pair = await told("change", "w", "first", "second")
        assert await counter.change_passphrase(keys.id, pair, pair) is True
        assert await counter.unlock(keys.id, await told("unlock", "w", "first", "", 60), 60) is False
        assert await counter.unlock(keys.id, await told("unlock", "w", "second", "", 60), 60) is True

    at_the_counter(on_desk, scenario)


def test_what_a_wallet_unlocked_is_locked_when_its_process_has_gone(on_desk):
    async def scenario(desk, counter, owner):
        unlocked = lambda: [one["wallet"] for one in desk.vault.keysets() if one["unlocked"]]  # noqa: E731
        for wallet in ("w", "another's", "from the start"):
            keys = await desk.vault.make(wallet, "first")
            if wallet == "from the start":
                assert await desk.vault.unlock_from_start(keys.id, "first", 60, lambda: None)
                continue
            ticket = (await owner.entrustpassphrase("unlock", wallet, "first", "", 60))["ticket"]
            of = counter if wallet == "w" else Counter(desk.vault, Tickets(lambda: 0.0), relay=True)
            assert await of.unlock(keys.id, ticket if wallet == "w" else "first", 60)
        assert len(unlocked()) == 3
        counter.left()
        assert sorted(unlocked()) == ["another's", "from the start"]

    at_the_counter(on_desk, scenario)


def test_what_a_broken_wallet_can_t_do_with_a_ticket(on_desk):
    async def scenario(desk, counter, owner):
        keys = await desk.vault.make("w", "first")
        other = await desk.vault.make("other", "first")

        async def told(*about):
            return (await owner.entrustpassphrase(*about))["ticket"]

        void = "told for something else"
        ticket = await told("unlock", "w", "first", "", 60)
        assert void in (await desk.refused(counter.change_passphrase(keys.id, ticket, "mine"))).message
        pair = await told("change", "w", "first", "second")
        refusal = await desk.refused(counter.change_passphrase(keys.id, pair, "mine"))
        assert "from bitcoin-mp alone" in refusal.message
        ticket = await told("unlock", "w", "first", "", 60)
        assert void in (await desk.refused(counter.unlock(other.id, ticket, 60))).message
        ticket = await told("make", "new", "first")
        assert void in (await desk.refused(counter.make("w", ticket))).message
        # for longer than it was said
        ticket = await told("unlock", "w", "first", "", 0)
        locked = asyncio.Event()
        assert await counter.unlock(keys.id, ticket, 1_000_000)
        desk.vault.on_change = locked.set
        await asyncio.wait_for(locked.wait(), 10)
        assert not any(one["unlocked"] for one in desk.vault.keysets())
        # without one, by guesses or what it was told by programs that call it themselves
        for work in (
            counter.make("x", "secret"),
            counter.unlock(keys.id, "first", 60),
            counter.change_passphrase(keys.id, "first", "second"),
            counter.unlock(keys.id, TICKET + "0" * 32, 60),
        ):
            assert (await desk.refused(work)).code == RpcCode.WALLET_ERROR
        assert not [event for event in desk.events() if event["event"] == "wrong passphrase"]
        assert await desk.vault.unlock(keys.id, "first", 60), "nothing changed it"

    at_the_counter(on_desk, scenario)


def test_relayed_where_the_owner_allows_it(on_desk):
    async def scenario(desk, counter, owner):
        keys = await counter.make("w", "first")
        assert await counter.change_passphrase(keys.id, "first", "second")
        assert await counter.unlock(keys.id, "second", 60)
        ticket = (await owner.entrustpassphrase("unlock", "w", "second", "", 60))["ticket"]
        assert await counter.unlock(keys.id, ticket, 60)

    at_the_counter(on_desk, scenario, relay=True)


def test_a_wallet_whose_keys_are_not_here_yet_is_known_by_its_name(on_desk):
    """Whatever comes first, the wallet or its keys: no passphrase is for the wallet's process then."""

    async def scenario(desk):
        tickets = Tickets(Clock())

        async def entrusted(wallet):
            answer = await owner.entrustpassphrase("unlock", wallet, desk.PASSPHRASE)
            return answer["ticket"] is not None, answer["absent"]

        keys = await desk.vault.make("w", desk.PASSPHRASE)
        text = desk.vault.back_up()
        desk.close()
        for file in desk.directory.iterdir():
            file.unlink()
        desk.start()
        other = await desk.vault.make("mine", desk.PASSPHRASE)
        counter, owner = Counter(desk.vault, tickets, relay=False), OwnerCommands(desk.vault, tickets, "regtest")
        assert await entrusted("again") == (False, False)
        assert (await desk.refused(counter.introduce(keys.id, "again"))).code == RpcCode.WALLET_ERROR
        assert "restoresigner" in (await desk.refused(counter.unlock(keys.id, f"{TICKET}x", 5))).message
        assert "restoresigner" in (await desk.refused(counter.change_passphrase(keys.id, "a", "a"))).message
        await desk.refused(counter.introduce(keys.id, "mine"))
        assert [await entrusted(name) for name in ("again", "mine")] == [(False, True), (False, True)], "the newest"
        await counter.introduce(other.id, "mine")
        assert await entrusted("mine") == (True, False)
        await desk.refused(counter.introduce(keys.id, "gone"))
        owner.forgetsignername("gone")
        assert await entrusted("gone") == (False, False)
        desk.vault.restore(text)
        assert [await entrusted(name) for name in ("again", "mine")] == [(True, False), (True, False)]
        desk.restart()
        assert [desk.vault.names.of(name) for name in ("again", "mine")] == [keys.id, other.id]

    on_desk(scenario)


def test_names_that_wallets_tell(on_desk):
    """What is said about a wallet goes to its keys by whatever name it was loaded last, also after a restart."""

    async def scenario(desk, counter, owner):
        keys = await desk.vault.make("w", "first")
        assert await counter.introduce(keys.id, "w") == 0
        assert await counter.introduce(keys.id, "restored") == 0
        assert [event["event"] for event in desk.events()] == ["made", "named"]
        desk.restart()
        assert [desk.vault.names.of(name) for name in ("w", "restored", "other")] == [keys.id, keys.id, None]
        newer = await desk.vault.make("w", "first")
        assert desk.vault.names.of("w") == newer.id
        desk.vault.names.forget("w")
        desk.restart()
        assert desk.vault.names.of("w") is None
        with pytest.raises(RpcError, match="no keys of a wallet named w"):
            desk.vault.names.forget("w")
        assert (await desk.refused(desk.vault.introduce("00" * 16, "w"))).code == RpcCode.WALLET_ERROR
        for number in range(99):
            await desk.vault.introduce(keys.id, f"name {number}")
        assert "100 wallets' names" in (await desk.refused(desk.vault.introduce(keys.id, "one more"))).message

    at_the_counter(on_desk, scenario)
