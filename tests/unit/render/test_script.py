"""Scripts as JSON, by Core's vectors."""

import asyncio

import vectors

from bitcoind_mp.node.rpc.scripts import ScriptCommands


@vectors.needed
def test_scripts_are_decoded_as_in_the_vectors() -> None:
    decode = ScriptCommands("regtest").decodescript
    for script, expected in vectors.core_data("rpc_decodescript.json"):
        assert asyncio.run(decode(script)) == expected


def test_a_script_of_megabytes_is_decoded_too() -> None:
    """Aside: a loop that waited for it would serve nobody else."""
    decode = ScriptCommands("regtest").decodescript
    assert asyncio.run(decode("51" * 100_000))["asm"] == " ".join(["1"] * 100_000)
