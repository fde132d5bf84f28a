"""What a child that was forked must not touch: threads are the parent's, and locks may be held by one of them.

A process that has analysed pictures may fork, as servers and `multiprocessing` do on Linux. The child opens its own
networks; the parent's are refused there, in one line, and never destroyed: destroying them would wait for ever for
threads that the child does not have.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable
from contextlib import suppress

_calls: list[weakref.WeakMethod[Callable[[], None]]] = []

Callback = Callable[[], None]


def in_child(method: Callback) -> None:
    """Call a bound method in every child that is forked while its object lives."""
    _calls[:] = [call for call in _calls if call() is not None]
    _calls.append(weakref.WeakMethod(method))


def keep_for_ever(native: object) -> None:
    """An object of native code that is never destroyed in this process."""
    if native is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))


def leave_without_destructors() -> None:
    """Let this process, a child of a fork, end without the destructors of libraries in C, at which ONNX Runtime waits
    for ever for threads that stayed with the parent.

    Python's own end is as ever: `atexit`, open files, the exit code. A C library without `on_exit` (musl, macOS) knows
    no such way; there a child has to end by `os._exit`.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "on_exit"):
        return
    library.on_exit.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    library.on_exit(ctypes.cast(library._exit, ctypes.c_void_p), None)  # called with the exit code, before the others


def on_fork(function: Callback) -> None:
    """Call a function in every child that is forked from now on, where there is a fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def refused_in_child(opened_by: int, what: str) -> str | None:
    """Why something that process `opened_by` opened is not to be used; None = this is that process."""
    return None if os.getpid() == opened_by else f"{what} was opened before this process was forked"


def _tell() -> None:
    for call in _calls:
        method = call()
        if method is not None:
            with suppress(Exception):
                method()


on_fork(_tell)
