"""What a private key looks like in a text, so that no log and no history keeps one where nobody expects it."""

import re

#: BIP32 extended private keys of all networks, and private keys in WIF.
PRIVATE_KEY = re.compile(r"[xtyzuvYZUV]prv[1-9A-HJ-NP-Za-km-z]{20,}|\b[5KL9c][1-9A-HJ-NP-Za-km-z]{50,51}\b")
