"""Scripts as JSON, by Core's vectors."""

import vectors

from bitcoind_mp.node.rpc.scripts import ScriptCommands


@vectors.needed
def test_scripts_are_decoded_as_in_the_vectors() -> None:
    decode = ScriptCommands("regtest").decodescript
    for script, expected in vectors.core_data("rpc_decodescript.json"):
        assert decode(script) == expected
