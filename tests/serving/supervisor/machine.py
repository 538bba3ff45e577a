"""Waiting and tiny processes for the supervisor's stories."""

import sys
import time


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
