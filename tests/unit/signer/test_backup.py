"""Key sets as text, and back."""

import json
from hashlib import sha256

import pytest
from spends import STRANGER, Address, Coin, signed_inputs, spend

from bitcoind_mp.interfaces.errors import RpcCode, RpcError


def emptied(desk) -> None:
    """A fresh directory."""
    desk.close()
    for file in desk.directory.iterdir():
        file.unlink()
    desk.start()


def signed_again(text: str, change) -> str:
    """A backup that somebody changed, checksum and all."""
    body = json.loads(text)
    del body["checksum"]
    change(body)
    return json.dumps({**body, "checksum": sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()})


def test_round_trip(on_desk):
    async def scenario(desk):
        first, second = await desk.vault.make("w", desk.PASSPHRASE), await desk.vault.make("other", "another")
        await desk.vault.introduce(first.id, "restored")
        text = desk.vault.back_up()
        assert "\n" not in text
        emptied(desk)
        third = await desk.vault.make("other", desk.PASSPHRASE)
        assert sorted(desk.vault.restore(text)) == sorted([first.id, second.id])
        assert desk.vault.restore(text) == []
        desk.restart()
        names = {name: desk.vault.names.of(name) for name in ("w", "restored", "other")}
        assert names == {"w": first.id, "restored": first.id, "other": third.id}
        assert await desk.vault.describe(second.id) == second
        assert await desk.vault.unlock(first.id, desk.PASSPHRASE, 60)
        assert signed_inputs(await desk.vault.sign(first.id, spend([Coin.to(Address(first))], [(STRANGER, 5)]))) == [0]
        assert [event["event"] for event in desk.events()][:2] == ["made", "restored"]

    on_desk(scenario)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "nonsense", "no backup of a signer"),
        (lambda text: "[]", "no backup of a signer"),
        (lambda text: text[:-40], "no backup of a signer"),
        (lambda text: text.replace('"label":"w"', '"label":"x"'), "a part is missing or was changed"),
        (lambda text: signed_again(text, lambda body: body.update(chain="main")), "of another chain"),
        (lambda text: signed_again(text, lambda body: body.update(format="2")), "of another format"),
        (lambda text: signed_again(text, lambda body: body["keysets"][0].update(id="0" * 32)), "two names"),
        (lambda text: signed_again(text, lambda body: body["keysets"][0].update(public="{}")), "no backup"),
        (lambda text: signed_again(text, lambda body: body["keysets"][0].update(master="§")), "no backup"),
    ],
)
def test_what_is_no_backup(on_desk, change, why):
    async def scenario(desk):
        await desk.vault.make("w", desk.PASSPHRASE)
        text = desk.vault.back_up()
        emptied(desk)
        with pytest.raises(RpcError, match=why) as refused:
            desk.vault.restore(change(text))
        assert refused.value.code == RpcCode.INVALID_PARAMETER
        assert desk.vault.keysets() == []
        assert desk.vault.restore(text)

    on_desk(scenario)


def test_descriptors_that_were_changed_in_a_backup_are_found_out(on_desk):
    """Else change could be sent to addresses of a stranger's that count as the wallet's own."""

    async def scenario(desk):
        keys, thief = await desk.vault.make("w", desk.PASSPHRASE), await desk.vault.make("thief", "x")
        text = desk.vault.back_up()
        emptied(desk)

        def change(body):
            first = next(one for one in body["keysets"] if one["id"] == keys.id)
            public = json.loads(first["public"])
            public["descriptors"][4]["normalized"] = thief.descriptors[4].normalized
            first["public"] = json.dumps(public)

        desk.vault.restore(signed_again(text, change))
        error = await desk.refused(desk.vault.unlock(keys.id, desk.PASSPHRASE, 60))
        assert "the key store was changed, or the backup" in error.message
        assert desk.events()[-1]["event"] == "damaged"
        assert not any(one["unlocked"] for one in desk.vault.keysets())

    on_desk(scenario)
