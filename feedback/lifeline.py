"""A child process that ends when its parent does, however the parent died.

The parent holds the write end of a pipe that is the child's standard input; the kernel closes it when
the parent is gone, `kill -9` included, and the child's watching thread then ends the process. Works on
every platform, unlike Linux's parent-death signal, and survives a parent that changes threads.
"""

import os
import sys
import threading


def end_with_parent() -> None:
    """Watch standard input from a daemon thread; exit at once when it closes.

    Call it first thing in a child that was started with `stdin=PIPE`. The exit skips clean-up on
    purpose: everything a child of Hone writes is either whole or redone.
    """
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    descriptor = sys.stdin.fileno()
    while os.read(descriptor, 64):
        pass
    os._exit(3)
