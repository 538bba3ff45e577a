"""One open version on this replica: what it needs to be checked, run, counted and closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plaza_core.errors import InvalidInput
from plaza_core.ids import OrganisationId, VersionKey
from plaza_core.inference import Call
from plaza_core.manifest import Manifest
from plaza_core.padding import Buckets
from plaza_core.running import RemoteRunner, Runner
from plaza_core.tensors import Array, Signature
from plaza_serving.dataplane.lane import Lane

_FORMS = 256
"""How many forms of requests a version remembers."""


@dataclass(slots=True, eq=False)
class Hosted:
    """One open version. `users` counts requests inside; a retired one closes with its last user."""

    key: VersionKey
    manifest: Manifest
    signature: Signature
    runner: Runner
    lane: Lane
    home: OrganisationId | None
    """Whose cell it runs in; None: in this process."""
    room: int
    """The number of what it holds of the byte budget."""
    release: Callable[[], None]
    """Told when it is closed: its files are no longer needed."""
    on_idle: Callable[[Hosted], None]
    """Called when the last user has left."""
    used_ns: int
    """When it was last seen in use (monotonic), as of the last look."""
    touched: bool = False
    """Used since that look: asking the clock at each request would cost as much as the rest."""
    labels: tuple[str, ...] = ()
    """Names of its classes, where its family knows some in this process."""
    users: int = 0
    retired: bool = field(default=False, init=False)
    batched: bool = field(default=False, init=False)
    """Whether requests have rows: the signature's word, which takes a microsecond to ask for."""
    fitting: set[tuple[tuple[str, Any, tuple[int, ...]], ...]] = field(
        default_factory=set, init=False
    )
    """Names, datatypes and shapes that were found to fit: to look again takes 3 µs."""
    remote: RemoteRunner | None = field(default=None, init=False)
    """Its runner, where that has a process of its own."""

    def __post_init__(self) -> None:
        self.batched = self.signature.batched
        self.remote = self.runner if isinstance(self.runner, RemoteRunner) else None

    def check(self, call: Call) -> None:
        """Refuse before admission what the model can never take: a refused request costs nothing.

        Raises InvalidTensor, InvalidInput.
        """
        tensors = call.tensors
        if tensors is not None:
            form = tuple([(name, array.dtype, array.shape) for name, array in tensors.items()])
            if form not in self.fitting:
                self._check_form(tensors)
                self.fitting.add(form)
        elif call.family != self.manifest.family:
            raise InvalidInput(
                f"this model is of family '{self.manifest.family}', not '{call.family}'",
                input="model",
            )

    def _check_form(self, tensors: Mapping[str, Array]) -> None:
        self.signature.check(dict(tensors))
        if self.manifest.buckets:
            buckets = Buckets(self.signature, self.manifest.buckets)
            buckets.fit(buckets.sizes(tensors))
        if len(self.fitting) >= _FORMS:
            self.fitting.clear()

    @property
    def ended(self) -> bool:
        """Its process is gone, where it has one: nobody new may come in."""
        return self.remote is not None and self.remote.ended

    def idle(self, now_ns: int, most_ns: int) -> bool:
        """Whether nobody has used it for long: `most_ns` (0: never) in this process; a process of
        its own has its own limit."""
        if self.touched or self.users:
            self.used_ns, self.touched = now_ns, False
        if self.users:
            return False
        if self.remote is not None:
            return self.remote.idle(now_ns)
        return 0 < most_ns < now_ns - self.used_ns

    def leave(self) -> None:
        self.users -= 1
        if not self.users:
            self.on_idle(self)

    def close(self) -> None:
        self.runner.close()
        self.release()
