"""What the wallet may ask of the process that holds its private keys. No secret ever comes back."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import sha256

from .command import Secret, interface_method

#: What stands in a passphrase's place where the signer was told that itself begins so.
TICKET = "entrusted-to-the-signer:"
#: Core's words, with -13, where a passphrase is needed, whoever holds the keys.
LOCKED = "Error: Please enter the wallet passphrase with walletpassphrase first."


def is_ticket(passphrase: str) -> bool:
    """Whether it is no passphrase, but stands for one that the signer was told."""
    return passphrase.startswith(TICKET)


@dataclass(frozen=True)
class PublicDescriptor:
    """One of a key set's descriptors. ``type`` is Core's name of its address type, empty where it has none;
    ``internal``: for change; ``text`` is on the public halves of the set's secrets, ``normalized`` on the extended keys
    below the last hardened steps. With checksums. ``active``: new addresses come from it."""

    type: str
    internal: bool
    text: str
    normalized: str
    active: bool = True


@dataclass(frozen=True)
class KeySet:
    """What is public of one wallet's keys: ``id`` is its name among the signer's, ``publics`` are the public halves of
    its secrets (an extended public key, or a public key in hex), sorted."""

    id: str
    publics: list[str]
    descriptors: list[PublicDescriptor]


@dataclass(frozen=True)
class Receipt:
    """What the signer shows for keys that were moved to it: ``keys`` as it has them on its disk, and for each of their
    public halves a signature (DER, hex) of `challenge_hash` by the secret that it read back from there."""

    keys: KeySet
    proofs: list[str]


def challenge_hash(challenge: str, id: str, public: str) -> bytes:
    """What is signed to prove that a secret is there: no transaction's or message's hash."""
    tag = sha256(b"bitcoind-mp moved key").digest()
    return sha256(tag + tag + "\0".join((challenge, id, public)).encode()).digest()


class Signer(ABC):
    """The keys of all wallets. Methods that name a set raise `RpcError` -4 for one that isn't here, and those that
    need its keys -13 while it is locked. A passphrase is a ticket for one that the owner told the signer (`is_ticket`);
    -4 for any other, unless -signerrelay allows it."""

    @interface_method("signer.make", changes=True)
    @abstractmethod
    async def make(self, label: str, passphrase: Secret) -> KeySet:
        """Make a new random key set, sealed under the passphrase and locked, on disk when this returns. ``label`` is
        the wallet's name, for people. Takes about 0.1 s."""

    @interface_method("signer.describe")
    @abstractmethod
    async def describe(self, id: str) -> KeySet:
        """A set that was made before."""

    @interface_method("signer.introduce", changes=True)
    @abstractmethod
    async def introduce(self, id: str, wallet: str) -> int:
        """A wallet of that name has these keys: what the owner says about it is meant for the signer. For how many
        seconds more they are unlocked from the start on (-walletunlock), else 0."""

    @interface_method("signer.unlock", changes=True)
    @abstractmethod
    async def unlock(self, id: str, passphrase: Secret, seconds: int) -> bool:
        """Make its keys usable for so long; False for a wrong passphrase."""

    @interface_method("signer.lock", changes=True)
    @abstractmethod
    async def lock(self, id: str) -> None:
        """Forget what opens its keys."""

    @interface_method("signer.change_passphrase", changes=True)
    @abstractmethod
    async def change_passphrase(self, id: str, old: Secret, new: Secret) -> bool:
        """Seal it anew; False for a wrong old passphrase. Leaves it locked or not, as it was."""

    @interface_method("signer.sign", changes=True)
    @abstractmethod
    async def sign(self, id: str, psbt: str) -> str:
        """Sign those inputs of a PSBT (Base64) that spend the set's addresses, as the owner's policy allows; the PSBT
        with the signatures added. May wait for the owner to confirm it, for minutes.

        An input or output is recognised by its key's origin. Of an input that isn't taproot the whole previous
        transaction must be there, and only whole transactions are signed (SIGHASH_ALL, or DEFAULT for taproot).

        Raises:
            RpcError: -4 the policy or the owner says no, or the audit log can't be written; -22 no PSBT; -25 an input
                whose amount can't be relied on.
        """

    @interface_method("signer.sign_message", changes=True)
    @abstractmethod
    async def sign_message(self, id: str, descriptor: str, index: int, message: str) -> str:
        """Sign a message with the key of a legacy address, at that index of the set's descriptor of that text; Base64.
        Raises `RpcError` -4 for another kind of address."""

    @interface_method("signer.take", changes=True)
    @abstractmethod
    async def take(self, keys: KeySet, label: str, secrets: Secret, passphrase: Secret, challenge: str) -> Receipt:
        """Keep the keys of a wallet that has held them itself: ``keys.id`` is for the caller to choose, 32 hexadecimal
        digits, and ``secrets`` is a JSON object, public half to secret. On disk when this returns. To repeat it after
        a kill is harmless: the same keys are sealed anew.

        Raises:
            RpcError: -4 they are not what they are said to be, or the id is another set's; -20 no room.
        """
