"""Which parameters are text that may well hold an equals sign: base64, file names, labels, passphrases.

Only a word with -named whose name isn't one of the command's is looked up here (``arguments.py``): there it is such a
parameter's value as it stands. The facts are Bitcoin Core's (``src/rpc/client.cpp``, ParamFormat::STRING).
"""

#: A command's name -> the positions of those parameters.
FREE_TEXT = {
    "analyzepsbt": (0,),
    "backupwallet": (0,),
    "createwallet": (0, 3),
    "decodepsbt": (0,),
    "descriptorprocesspsbt": (0, 2),
    "dumptxoutset": (0, 1),
    "echoipc": (0,),
    "encryptwallet": (0,),
    "finalizepsbt": (0,),
    "getaddressesbylabel": (0,),
    "getnewaddress": (0, 1),
    "getreceivedbylabel": (0,),
    "importmempool": (0,),
    "listsinceblock": (0, 5),
    "listtransactions": (0,),
    "loadtxoutset": (0,),
    "loadwallet": (0,),
    "migratewallet": (0, 1),
    "restorewallet": (0, 1),
    "sendmany": (0, 3, 7),
    "sendtoaddress": (0, 2, 3, 7),
    "setlabel": (1,),
    "signmessage": (1,),
    "signmessagewithprivkey": (1,),
    "unloadwallet": (0,),
    "utxoupdatepsbt": (0,),
    "verifymessage": (1, 2),
    "walletpassphrase": (0,),
    "walletpassphrasechange": (0, 1),
    "walletprocesspsbt": (0, 2),
}


def is_free_text(command: str, position: int) -> bool:
    """Whether that command's parameter at that position is one."""
    return position in FREE_TEXT.get(command, ())
