"""The help of every command there is: nothing in it without a meaning, a type, or where it is money, a unit."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoind_mp.config.options import BY_NAME
from bitcoind_mp.ipc.declared.help import help_text
from bitcoind_mp.ipc.declared.signature import Method, declared

PACKAGES = ("node.rpc", "wallet.rpc", "service", "signer", "supervisor")


def commands() -> Iterator[Method]:
    for package in PACKAGES:
        root = importlib.import_module(f"bitcoind_mp.{package}")
        for found in pkgutil.iter_modules(root.__path__, f"{root.__name__}."):
            if found.name.endswith("__main__"):
                continue
            module = importlib.import_module(found.name)
            classes = (kind for kind in vars(module).values() if isinstance(kind, type))
            for kind in (kind for kind in classes if kind.__module__ == module.__name__):
                yield from (method for method in declared(kind).values() if method.is_command)


ALL = {method.name: method for method in commands()}
#: The word of its name that says what a parameter is, and the unit that its help must name. fee_rate is no feeRate.
UNITS = {"fee_rate": "sat/vB", "feeRate": "BTC/kvB", "maxfeerate": "BTC/kvB", "amount": "BTC", "Amount": "BTC"}


def test_they_are_found() -> None:
    assert {"getblock", "bumpfee", "send", "listunspent", "stop"} <= set(ALL)


#: These take, and give back, whatever they are given.
ANYTHING = ("echo", "echojson")


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_parameter_and_every_member_of_options_says_what_it_is(name: str) -> None:
    method = ALL[name]
    for parameter in method.parameters:
        for each in (parameter, *parameter.named_only):
            assert each.description, f"{name}: {each.name} has no sentence"
            unit = next((unit for word, unit in UNITS.items() if word in each.name), "")
            if not each.name.startswith("subtract"):
                assert unit in each.description, f"{name}: {each.name} doesn't name its unit, {unit}"
    assert name in ANYTHING or "json value" not in help_text(method)


def test_what_bumpfee_may_be_told_is_told_by_its_help() -> None:
    text = help_text(ALL["bumpfee"])
    assert "fee_rate                 (numeric or string, optional) A fee rate in sat/vB instead of an estimate" in text
    assert "conf_target              (numeric, optional) Confirmation target in blocks." in text


def test_nothing_that_there_is_does_the_readme_call_missing() -> None:
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text()
    told = readme.partition("What Bitcoin Core has and this doesn't yet:")[2].partition("`bitcoin-mp help`")[0]
    words = re.findall("`(-?[a-z]+)`", told)
    assert {"-dbcache", "verifychain", "migratewallet"} <= set(words)
    assert [word for word in words if word in ALL or word.removeprefix("-") in BY_NAME] == []
