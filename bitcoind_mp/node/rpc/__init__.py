"""The node's commands: Bitcoin Core's names, parameters, results and errors, one file for each topic or part of one.

What belongs here: reading parameters, asking the domain, and Core's shapes and words for what it says. What doesn't:
rules (``node/chain``, ``node/mempool``, ``node/mining``), and JSON that the wallet makes too (``render/``,
``signing/``).
"""

from bitcoind_mp.node.app import Node
from bitcoind_mp.node.broadcast import Broadcaster
from bitcoind_mp.node.kernel import verify_scripts

from .activity import ActivityCommands
from .banning import BanCommands
from .blockchain import BlockchainCommands
from .blocks import BlockCommands
from .coins import CoinCommands
from .control import NodeControlCommands
from .deployments import DeploymentCommands
from .fees import FeeCommands
from .generate import GenerateCommands
from .invalidation import InvalidationCommands
from .lookup import Lookup
from .mempool import MempoolCommands
from .mining import LastTemplate, MiningCommands
from .network import NetworkCommands
from .psbt import PsbtCommands
from .rawtransactions import RawTransactionCommands
from .scan import ScanCommands
from .scanblocks import ScanBlocksCommands
from .scripts import ScriptCommands
from .send import SendCommands
from .templates import TemplateCommands
from .testing import TestingCommands
from .util import UtilCommands
from .waiting import WaitingCommands


def command_objects(node: Node) -> list[object]:
    """Everything that the node answers to people."""
    chain, mempool, indexes, peers = node.chain, node.mempool, node.indexes, node.peers
    name, limits = chain.params.name, node.block_limits
    lookup = Lookup(chain, mempool, indexes.transactions)
    last = LastTemplate()
    return [
        ActivityCommands(chain, mempool, lookup),
        BanCommands(peers, node.clock),
        BlockchainCommands(chain),
        BlockCommands(chain, indexes.filters),
        CoinCommands(chain, lookup),
        DeploymentCommands(chain),
        FeeCommands(mempool),
        GenerateCommands(chain, mempool, limits, last, verify_scripts),
        InvalidationCommands(chain),
        MempoolCommands(mempool),
        MiningCommands(chain, mempool, limits, last),
        NetworkCommands(chain, mempool, peers),
        NodeControlCommands(node.clock, indexes, mockable=name == "regtest"),
        PsbtCommands(name, lookup),
        RawTransactionCommands(chain, lookup, indexes.transactions),
        ScanBlocksCommands(chain, indexes.filters),
        ScanCommands(chain),
        ScriptCommands(name),
        SendCommands(Broadcaster(chain, mempool, peers.added), mempool),
        TemplateCommands(chain, mempool, peers, limits, last, verify_scripts),
        TestingCommands(peers, mockable=name == "regtest"),
        UtilCommands(name),
        WaitingCommands(chain),
    ]
