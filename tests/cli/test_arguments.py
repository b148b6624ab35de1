"""Words to parameters, by the cases of bitcoin-cli (``src/rpc/client.cpp``, its help for -named)."""

import pytest

from bitcoind_mp.cli.arguments import BadArgument, Command, named, positional, request


def command(name: str, *params: str, named_only: tuple[str, ...] = ()) -> Command:
    """``name:type`` or ``name|alias:type`` for each parameter."""
    described = []
    for text in params:
        names, _, kind = text.partition(":")
        first, *aliases = names.split("|")
        described.append({"name": first, "type": kind.replace("/", "|"), "aliases": aliases})
    members = [dict(zip(("name", "type"), text.split(":"), strict=True)) for text in named_only]
    return Command({"name": name, "params": described, "named": members})


SEND = command(
    "sendtoaddress", "address:string", "amount:number/string", "comment:string", "subtractfeefromamount:boolean"
)
CREATE = command("createwallet", "wallet_name:string", "disable_private_keys:boolean", "passphrase:string")
STATS = command("getblockstats", "hash_or_height:number/string", "stats:array")
RAW = command("createrawtransaction", "inputs:array", "outputs:array/object")
BLOCK = command("getblock", "blockhash:string", "verbosity|verbose:number/boolean")
FUND = command(
    "fundrawtransaction", "hexstring:string", "options:object", named_only=("fee_rate:number", "change_type:string")
)


@pytest.mark.parametrize(
    ("called", "words", "params"),
    [
        (SEND, ["addr", "0.1"], '["addr",0.1]'),
        (SEND, ["1", "0.00001000", "2"], '["1",0.00001000,"2"]'),
        (SEND, ["addr", "0.1", "", "true"], '["addr",0.1,"",true]'),
        (STATS, ["00ab"], '["00ab"]'),
        (STATS, ["7", '["a"]'], '[7,["a"]]'),
        (RAW, ['[{"txid":"ab","vout":0}]', '{"addr":1}'], '[[{"txid":"ab","vout":0}],{"addr":1}]'),
        (RAW, ["[\n]", "{}"], "[[ ],{}]"),
        (BLOCK, ["ab", "null"], '["ab",null]'),
        (BLOCK, ["ab", "1", "beyond"], '["ab",1,"beyond"]'),
        (CREATE, ['quote"d'], '["quote\\"d"]'),
    ],
)
def test_by_position(called: Command, words: list[str], params: str) -> None:
    assert positional(called, words) == params


@pytest.mark.parametrize(
    ("called", "words"),
    [
        (SEND, ["addr", "1", "c", "yes"]),
        (SEND, ["a", "1", "", "{"]),
        (SEND, ["addr", "foo"]),
        (BLOCK, ["ab", "foo"]),
        (RAW, ["[]", "foo"]),
        (command("send", "outputs:any"), ["foo"]),
    ],
)
def test_what_must_be_json_and_is_not(called: Command, words: list[str]) -> None:
    with pytest.raises(BadArgument, match=f"^Error parsing JSON: {words[-1]}$"):
        positional(called, words)


@pytest.mark.parametrize(
    ("called", "words", "params"),
    [
        (SEND, ["address=a", "amount=0.10"], '{"address":"a","amount":0.10}'),
        (SEND, ["a", "amount=1"], '{"amount":1,"args":["a"]}'),
        (BLOCK, ["ab", "verbose=true"], '{"verbose":true,"args":["ab"]}'),
        # A name that is none of the command's, where text by position comes next: the whole word is that text.
        (CREATE, ["my=wallet"], '{"args":["my=wallet"]}'),
        (CREATE, ["wallet_name=my=wallet"], '{"wallet_name":"my=wallet"}'),
        (CREATE, ["w", "disable_private_keys=true", "x=y"], '{"disable_private_keys":true,"x":"y","args":["w"]}'),
        # JSON by position that happens to hold an equals sign.
        (RAW, ['["a=b"]', "{}"], '{"args":[["a=b"],{}]}'),
        (RAW, ["foo=1"], '{"foo":"1"}'),
        # Text by position that hardly holds one: a hash, say. The server says that there is no such name.
        (BLOCK, ["foo=1", "blockhash=ab"], '{"foo":"1","blockhash":"ab"}'),
        (BLOCK, ["foo=1"], '{"foo":"1"}'),
        (STATS, ["foo=1"], '{"foo":"1"}'),
        # The last of a name wins; members of the options may be named at the top level.
        (SEND, ["amount=1", "amount=2"], '{"amount":2}'),
        (FUND, ["00", "fee_rate=2.5", "change_type=bech32"], '{"fee_rate":2.5,"change_type":"bech32","args":["00"]}'),
        (SEND, [], "{}"),
    ],
)
def test_by_name(called: Command, words: list[str], params: str) -> None:
    assert named(called, words) == params


def test_a_request_is_one_line() -> None:
    line = request("echo", positional(command("echo", "x:any"), ['{"a":\r\n1}']), wallet='my "w"')
    assert line == b'{"jsonrpc":"2.0","id":1,"method":"echo","params":[{"a":  1}],"wallet":"my \\"w\\""}'
    assert b"\n" not in line
