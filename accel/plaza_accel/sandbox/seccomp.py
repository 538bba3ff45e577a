"""A filter on system calls: what neither a model nor the libraries that run it have a use for.

Source: the kernel's userspace-api/seccomp_filter documentation and its tables of call numbers. The
filter is a deny-list: ONNX Runtime's own needs change with every release, and what must be closed
is known. It needs no privilege after no_new_privs, cannot be undone, and is inherited. Denied: new
sockets of every kind (UNIX ones too: those of other services on the machine are reached by path),
other programs and processes (threads may be started), looking into other processes, keys, mounts,
kernel modules, io_uring, and the clock. The errors are those of a lack of permission.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

_PR_SET_SECCOMP: Final = 22
_FILTER: Final = 2
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000
_ALLOW: Final = 0x7FFF0000
_X32: Final = 0x40000000
_CLONE_THREAD: Final = 0x00010000
_CLONE3: Final = 435

# Instructions of the filter language: load a word, jump if equal, if at least, if a bit is set.
_LOAD, _EQUAL, _AT_LEAST, _BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENT_0 = 0, 4, 16
"""Offsets in struct seccomp_data."""

DENIED: Final[dict[str, tuple[int | None, int | None]]] = {
    # sockets, UNIX ones too
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    # other programs and processes
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    # looking into others
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    # keys
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # the kernel's own machinery
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # mounts and roots
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # modules, kernels
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    # namespaces; files past their paths
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # accounts of the machine
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "personality": (135, 92),
    # the clock
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    # ports and segments of the processor
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}
"""Call -> its number on x86-64 and on aarch64; None: there is no such call there."""


@dataclass(frozen=True, slots=True)
class Machine:
    audit: int
    """AUDIT_ARCH_…, which a call made in another mode of the processor does not have."""
    clone: int
    denied: tuple[int, ...]


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 56, tuple(x for x, _ in DENIED.values() if x is not None)),
    "aarch64": Machine(0xC00000B7, 220, tuple(a for _, a in DENIED.values() if a is not None)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def deny() -> bool:
    """Put this thread, and what it starts, under the filter; False where that cannot be had.

    Wants no_new_privs (`landlock.no_new_privileges`).
    """
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return False
    code = program(machine)
    packed = _Program(len(code) // 8, code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return bool(prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(packed), 0, 0) == 0)


def program(machine: Machine) -> bytes:
    """The filter: each denied number compared in turn, some fifty nanoseconds in all."""
    refuse = _ERRNO | errno.EPERM
    steps = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, refuse),
    ]
    for number in machine.denied:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    steps += [
        # Its flags are behind a pointer, which a filter cannot follow; the C library then asks the
        # older way.
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_EQUAL, 0, 3, machine.clone),
        (_LOAD, 0, 0, _ARGUMENT_0),
        (_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
