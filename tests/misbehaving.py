"""What readers of files may do in a worker; light to import, for each worker does so."""

import ctypes
import os
import signal
import time

import numpy as np

from lowlight.errors import UserError


def crash(path):
    ctypes.string_at(0)


def abort(path):
    os.write(2, b"\nlibtiny: not enough bits\n")
    os.abort()


def leave(path):
    os._exit(3)


def hang(path):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(60)


def grow(path):
    return np.ones(2**28).sum()


def grumble(path):
    os.write(2, b"libtiny: strip 3 is odd\n")
    raise UserError(f"{path} cannot be read: decoder error -2.")


def mutter(path):
    os.write(2, b"libtiny: never mind\n")
    return "well"


def pid(path):
    return os.getpid()


def doubled(path, values):
    return {"twice": 2 * values, "half": values[::2].astype(np.float32) / 2, "none": values[:0]}


def count(path, number, at_once=1):
    for value in range(number):
        yield value, np.full((50, 60, 3), value, np.uint8)


def count_and_crash(path):
    yield 1
    crash(path)
