"""Keeping what is marked `Secret`, and what looks like a private key, out of the log."""

from typing import Any

from bitcoind_mp.interfaces.private_keys import PRIVATE_KEY
from bitcoind_mp.ipc.declared.signature import Method

HIDDEN = "***"
_LONGEST = 200


def shown_params(method: Method | None, params: Any) -> str:
    """Params for a log line: cut short; of a method with secrets only what is surely none; of an unknown method
    nothing."""
    if method is None:
        return HIDDEN if params else ""
    if not params:
        return ""
    known = {name: p for p in method.parameters for name in (p.name, *p.aliases)}
    if not any(p.secret for p in method.parameters):
        text = repr(params)
    elif isinstance(params, list):
        plain = [not p.secret for p in method.parameters]
        text = repr([v if i < len(plain) and plain[i] else HIDDEN for i, v in enumerate(params)])
    else:
        text = repr({k: v if k in known and not known[k].secret else HIDDEN for k, v in params.items()})
    text = PRIVATE_KEY.sub(HIDDEN, text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def secret_texts(method: Method, params: Any) -> list[str]:
    """Every string in the params of a method with secrets, of any other those with a private key; longest first: what a
    traceback must not show."""
    marked = any(p.secret for p in method.parameters)
    texts = {text for text in _strings(params) if marked or PRIVATE_KEY.search(text)}
    return sorted(texts, key=len, reverse=True)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value, repr(value)[1:-1]] if value else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _strings(item)]
