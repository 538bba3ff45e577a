"""Landlock through its three system calls: take away from this thread what it will not need.

Source: the kernel's userspace-api/landlock documentation. It needs no privilege, cannot be undone,
is inherited by children, and binds only the calling thread, so it is entered single-threaded.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# These numbers are the same on every architecture that Linux gained after 2010, and on x86-64.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446

_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_IOCTL_DEV: Final = 1 << 15
_RIGHTS_BY_ABI: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many access rights on files each version of the interface knows, lowest bits first."""
_TCP_BIND_AND_CONNECT: Final = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """The kernel's version of the interface; 0 when Landlock is absent or switched off."""
    version = _libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(int(version), 0)


def no_new_privileges() -> None:
    """From here on no set-uid file or file capability raises this process again."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _failure("prctl")


def restrict(readable: Iterable[Path], devices: Iterable[Path] = ()) -> int:
    """Allow this thread to read beneath `readable` and nothing else; return the ABI used.

    `devices` are device files that it may also write to and, where the kernel asks (from ABI 5),
    give commands of their driver.

    Denied: every other read, every write, creation, removal, rename and execution of a file; from
    ABI 4 TCP connections and listening; from ABI 6 abstract sockets and signals to processes
    outside. Paths that do not exist are left out. Raises OSError when the kernel refuses.
    """
    version = abi()
    if version == 0:
        raise OSError(errno.EOPNOTSUPP, "Landlock is not available")
    files = (1 << _RIGHTS_BY_ABI[min(version, 5)]) - 1
    tcp = _TCP_BIND_AND_CONNECT if version >= 4 else 0
    scoped = _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    # struct landlock_ruleset_attr grew with the ABI; an old kernel refuses a longer one.
    length = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("=QQQ", files, tcp, scoped)[:length]
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(length), 0)
    if ruleset < 0:
        raise _failure("landlock_create_ruleset")
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | (_READ_DIR if path.is_dir() else 0))
        for device in devices:
            _allow(ruleset, device, (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & files)
        no_new_privileges()
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            raise _failure("landlock_restrict_self")
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        rule = struct.pack("=Qi", rights, beneath)
        if _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) != 0:
            raise _failure("landlock_add_rule")
    finally:
        os.close(beneath)


def _failure(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
