"""One cell as its parent holds it: the process, its channels, and the end of it.

A call is one message there and one back over a free channel, and is over by its deadline in any
case: the child stops the run itself; if it does not within `GRACE_NS`, it is killed. Whatever the
child does wrong is a crash: an end, a silence, or a message that is a lie.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from queue import Empty, LifoQueue
from typing import Any, Final

from plaza_accel.cells.mailbox import BRIEF_NS, Lies, Mailbox, Message, TooLarge, make_memory
from plaza_accel.cells.meter import Meter, process_clock
from plaza_core.clock import Clock
from plaza_core.errors import CellDied, DeadlineExceeded, PayloadTooLarge

log = logging.getLogger(__name__)

GRACE_NS: Final = 500_000_000
UNCONFINED: Final = 77
"""How a child ends that could not give up its rights."""
_NOISE_NS: Final = 20_000_000
"""Processor time between two looks that means nothing."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_turns: Final = itertools.count(os.getpid())


class Channel:
    """A mailbox, and a pipe each way that wakes who waits for its contents. One call at a time.

    Pipes: a round trip takes half the time of a socket pair's (6 µs against 12). While it waits for
    a short call the caller is bound to `cpu`, where the child's thread lives: who wakes another
    processor waits for that to come out of its sleep, some 50 µs each way on virtual machines.
    """

    def __init__(self, mailbox: Mailbox, to_child: int, from_child: int, cpu: int) -> None:
        self.mailbox = mailbox
        self.brief = True
        """Whether the last call was short enough for a processor of its own to pay."""
        self._here, self._anywhere = {cpu}, os.sched_getaffinity(0)
        self.sequence = 0
        self._to_child, self._from_child = to_child, from_child
        self._ready = select.poll()
        self._ready.register(from_child, select.POLLIN)
        self._open = True

    def wake(self, wait_ns: int) -> bool:
        """Tell the child of a message and wait for its answer; False when the child is gone.

        Raises TimeoutError.
        """
        if not (self.brief and _bind(self._here)):
            return self._exchange(wait_ns)
        try:
            return self._exchange(wait_ns)
        finally:
            _bind(self._anywhere)

    def _exchange(self, wait_ns: int) -> bool:
        try:
            os.write(self._to_child, b"\1")
        except BrokenPipeError:
            return False
        if not self._ready.poll(max(0, wait_ns) // 1_000_000 + 1):
            raise TimeoutError
        return bool(os.read(self._from_child, 1))

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._to_child)
            os.close(self._from_child)


class Cell:
    """Thread-safe; as many calls at once as it has channels, more wait."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        channels: list[Channel],
        clock: Clock,
        *,
        cap_bytes: int,
    ) -> None:
        self.pid = process.pid
        self.cap_bytes = cap_bytes
        self.used_ns = clock.monotonic_ns()
        self.ended: str | None = None
        """Why it ended; None while it lives."""
        self.on_crash: Callable[[str], object] = lambda _: None
        """Told why, once, when it ended by its own doing."""
        self.meter = Meter(process_clock(process.pid))
        self._process = process
        self._now = clock.monotonic_ns
        # The one used last is the one whose memory is still in the caches.
        # None: it has ended, and who waits for a channel need wait no longer.
        self._free: LifoQueue[Channel | None] = LifoQueue()
        for channel in channels:
            self._free.put(channel)
        self._idle_cpu_ns = 0
        self._lock = threading.Lock()

    def call(self, message: Message, until_ns: int) -> tuple[Message, int]:
        """The answer, and the processor time in ns that the call is held to have cost.

        Raises CellDied, DeadlineExceeded, PayloadTooLarge.
        """
        now = self._now()
        if now >= until_ns:
            raise DeadlineExceeded("the deadline passed before the model was run")
        channel = self._borrow((until_ns - now) / 1e9)
        call = self.meter.begin(now)
        said = 0
        try:
            answer = self._exchange(channel, message, until_ns)
            said = answer.time_ns
        finally:
            self.used_ns = self._now()
            channel.brief = self.used_ns - now < BRIEF_NS
            cost = self.meter.end(call, said, self.used_ns)
            channel.mailbox.give_back()
            self._give_back(channel)
        return answer, cost

    def _exchange(self, channel: Channel, message: Message, until_ns: int) -> Message:
        channel.sequence += 1
        try:
            channel.mailbox.post(channel.sequence, message)
        except TooLarge as error:
            log.info("a message is too large for a cell: %s", error)
            raise PayloadTooLarge("this request is too large for a sandboxed model") from None
        try:
            alive = channel.wake(until_ns + GRACE_NS - self._now())
        except TimeoutError:
            raise self._crash("it did not stop at its deadline") from None
        if not alive:
            raise self._crash("its process ended")
        try:
            return channel.mailbox.take(channel.sequence)
        except Lies as lie:
            raise self._crash(f"its message was not true: {lie}") from None

    def lied(self, what: object) -> CellDied:
        """What it said made no sense above the messages either: it has crashed."""
        return self._crash(f"its answer was not true: {what}")

    def watch(self, idle_cpu_ns: int) -> None:
        """End it for more memory than it may hold, or for work that nobody asked for since the
        last look. Called now and then."""
        if self.ended is not None:
            return
        if self._is_zombie():
            self._crash("its process ended by itself")
        elif resident_bytes(self.pid) > self.cap_bytes:
            self._crash("it took more memory than it may")
        elif self._idles_busily(idle_cpu_ns):
            self._crash("it computed what nobody had asked for")

    def _is_zombie(self) -> bool:
        """Whether it has ended. It is not reaped yet: its number still names its group, which may
        hold children of it."""
        with self._lock:
            if self._process.returncode is not None:
                return True
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _idles_busily(self, most_ns: int) -> bool:
        """Whether the process, between calls, keeps computing until it used `most_ns`."""
        used = self.meter.idle_ns()
        self._idle_cpu_ns = self._idle_cpu_ns + used if used > _NOISE_NS else 0
        return self._idle_cpu_ns > most_ns

    def end(self, why: str) -> bool:
        """Kill it; False when it had ended before. Calls inside fail with CellDied."""
        with self._lock:
            if self.ended is not None:
                return False
            self.ended = why
            if self._process.returncode is None:  # not reaped, so the number is still its own
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(Empty):
            while True:
                if (channel := self._free.get_nowait()) is not None:
                    channel.close()
        self._free.put(None)
        return True

    def reap(self, timeout_s: float | None = None) -> int | None:
        """How it ended, once it is gone."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def _crash(self, why: str) -> CellDied:
        if self.end(why):
            log.warning("cell %d crashed: %s", self.pid, why)
            self.on_crash(why)
        return CellDied("the process that ran this model ended; try again", retry_after=1)

    def _borrow(self, wait_s: float) -> Channel:
        if self.ended is None:
            try:
                channel = self._free.get(timeout=wait_s)
            except Empty:
                raise DeadlineExceeded("the deadline passed before the model was run") from None
            if channel is None:
                self._free.put(None)  # for the next who waits
            elif self.ended is None:
                return channel
            else:
                channel.close()
        raise CellDied("the process that ran this model has ended; try again", retry_after=1)

    def _give_back(self, channel: Channel) -> None:
        with self._lock:
            if self.ended is None:
                self._free.put(channel)
                return
        channel.close()


def start(
    request: Mapping[str, Any], channels: int, area_bytes: int
) -> tuple[subprocess.Popen[bytes], list[Channel]]:
    """Start a child that knows `request` and owns nothing but one end of each channel.

    Call it on a thread that outlives the child: the kernel kills the child with that thread.
    """
    made: list[Channel] = []
    theirs: list[tuple[int, ...]] = []
    told: list[tuple[int, ...]] = []
    stdin = os.memfd_create("request", os.MFD_CLOEXEC)
    try:
        for cpu in _processors(channels):
            asked, to_child = os.pipe()
            from_child, answered = os.pipe()
            descriptor = make_memory(area_bytes)
            theirs.append((asked, answered, descriptor))
            told.append((asked, answered, descriptor, cpu))
            mailbox = Mailbox(descriptor, area_bytes, parent=True)
            made.append(Channel(mailbox, to_child, from_child, cpu))
        os.write(stdin, json.dumps({**request, "channels": told, "area": area_bytes}).encode())
        os.lseek(stdin, 0, os.SEEK_SET)
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-B", "-m", "plaza_accel.cells.child"],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # native text, of no bounded size
            env=_environment(),
            cwd="/",
            start_new_session=True,
            pass_fds=[number for numbers in theirs for number in numbers],
        )
    except BaseException:
        for channel in made:
            channel.close()
        raise
    finally:
        os.close(stdin)
        for number in itertools.chain(*theirs):
            os.close(number)
    return process, made


def _processors(channels: int) -> list[int]:
    """One for each channel of a cell. Each cell begins with another, and each process elsewhere:
    the channel that is used first would be on the same processor in all cells of the machine."""
    there, turn = sorted(os.sched_getaffinity(0)), next(_turns)
    return [there[(turn + channel) % len(there)] for channel in range(channels)]


def _bind(processors: set[int]) -> bool:
    """Bind the calling thread; False where that cannot be had (any more)."""
    try:
        os.sched_setaffinity(0, processors)
    except OSError:
        return False
    return True


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in use now, shared pages included; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 asked several times a second
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _environment() -> dict[str, str]:
    """Nothing of ours: no credential, no proxy, no setting of a library."""
    env = {
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # each further one reserves 64 MB of address space
        "ORT_DISABLE_TELEMETRY": "1",
    }
    if "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return env
