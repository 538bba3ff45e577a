"""Ports, waiting and tiny processes for the supervisor's stories."""

import socket
import sys
import time


def ports(base=None):
    """A block of 1,010 ports below the ephemeral range in which nobody listens now."""
    for start in (base,) if base else range(20_000, 31_000, 1010):
        offsets = (*range(10), *range(1000, 1007))
        if all(_bindable(start + offset) for offset in offsets):
            names = ("http", "control", "dashboard", "ray", "haproxy_stats", "haproxy_metrics",
                     "grpc")  # fmt: skip
            named = {f"{name}_port": start + 1000 + i for i, name in enumerate(names)}
            return {**named, "internal_ports": start}
    raise AssertionError("no free block of ports on this machine")


def _bindable(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_for(condition, seconds=10.0):
    """Until the condition holds; its last value. Fails after `seconds`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.02)
    return value


def python(code):
    """Command line of a Python process that runs `code`."""
    return (sys.executable, "-S", "-c", code)
