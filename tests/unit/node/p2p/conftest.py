"""Nodes that peers shake hands with."""

from collections.abc import Callable
from typing import Any

import pytest
from p2p_network import Network


@pytest.fixture
def network(chain: Any, mempool: Any) -> Callable[..., Network]:
    return lambda **options: Network(chain, mempool, **options)
