"""Functions in C++ that the kernel's library exports and its C interface doesn't offer, called by their mangled names.

What belongs here: names, argument types, and nothing else. Only pointers cross: the C interface's handles are pointers
to the C++ objects (``CBlockIndex``, ``BlockValidationState``), or to a struct whose first member is one
(``ChainstateManager``); see Core's ``src/kernel/bitcoinkernel.cpp``. Both hold for the one version of the bindings that
this project requires. A build that doesn't export a function raises `NotExported` at the call.
"""

import ctypes
from typing import Any

_SET_MOCK_TIME = "_Z11SetMockTimel"
_ACTIVE_CHAINSTATE = "_ZNK17ChainstateManager16ActiveChainstateEv"
_RECALCULATE_BEST_HEADER = "_ZN17ChainstateManager21RecalculateBestHeaderEv"
_INVALIDATE_BLOCK = "_ZN10Chainstate15InvalidateBlockER20BlockValidationStateP11CBlockIndex"
_RESET_FAILURE_FLAGS = "_ZN10Chainstate22ResetBlockFailureFlagsEP11CBlockIndex"
_PRECIOUS_BLOCK = "_ZN10Chainstate13PreciousBlockER20BlockValidationStateP11CBlockIndex"
_ACTIVATE_BEST_CHAIN = "_ZN10Chainstate17ActivateBestChainER20BlockValidationStateSt10shared_ptrIK6CBlockE"


class NotExported(RuntimeError):
    """This build of the library hasn't that function."""


class Exports:
    """The functions of a library. Handles are what ctypes can cast to a pointer."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def set_mock_time(self, timestamp: int) -> None:
        """``SetMockTime``: seconds since 1970, 0 for the real clock."""
        function = self._function(_SET_MOCK_TIME, None, ctypes.c_int64)
        function(timestamp)

    def invalidate_block(self, manager: Any, state: Any, entry: Any) -> bool:
        """``Chainstate::InvalidateBlock``: disconnect down to the entry's parent and mark the entry. False: it wasn't
        done (genesis, or ``state`` and the log say why)."""
        function = self._function(_INVALIDATE_BLOCK, ctypes.c_bool, *[ctypes.c_void_p] * 3)
        return bool(function(self._chainstate(manager), _pointer(state), _pointer(entry)))

    def reset_block_failure_flags(self, manager: Any, entry: Any) -> None:
        """``Chainstate::ResetBlockFailureFlags`` of the entry, its ancestors and descendants, and
        ``RecalculateBestHeader``."""
        reset = self._function(_RESET_FAILURE_FLAGS, None, *[ctypes.c_void_p] * 2)
        recalculate = self._function(_RECALCULATE_BEST_HEADER, None, ctypes.c_void_p)
        reset(self._chainstate(manager), _pointer(entry))
        recalculate(_manager(manager))

    def precious_block(self, manager: Any, state: Any, entry: Any) -> bool:
        """``Chainstate::PreciousBlock``: prefer the entry among those of equal work."""
        function = self._function(_PRECIOUS_BLOCK, ctypes.c_bool, *[ctypes.c_void_p] * 3)
        return bool(function(self._chainstate(manager), _pointer(state), _pointer(entry)))

    def activate_best_chain(self, manager: Any, state: Any) -> bool:
        """``Chainstate::ActivateBestChain`` with no block at hand."""
        function = self._function(_ACTIVATE_BEST_CHAIN, ctypes.c_bool, *[ctypes.c_void_p] * 3)
        no_block = (ctypes.c_void_p * 2)()  # an empty std::shared_ptr, which is passed by its address
        return bool(function(self._chainstate(manager), _pointer(state), ctypes.addressof(no_block)))

    def _chainstate(self, manager: Any) -> Any:
        return self._function(_ACTIVE_CHAINSTATE, ctypes.c_void_p, ctypes.c_void_p)(_manager(manager))

    def _function(self, name: str, result: Any, *arguments: Any) -> Any:
        try:
            function = self._library[name]
        except AttributeError:
            raise NotExported(f"this build of the kernel has no {name}") from None
        function.argtypes = list(arguments)
        function.restype = result
        return function


def _pointer(handle: Any) -> ctypes.c_void_p:
    return ctypes.cast(handle, ctypes.c_void_p)


def _manager(handle: Any) -> Any:
    return ctypes.cast(handle, ctypes.POINTER(ctypes.c_void_p))[0]
