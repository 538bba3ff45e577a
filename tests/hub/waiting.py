"""Waiting for a condition of a running hub, with a limit and the last reason."""

import time

import plaza


def until(ask, within_s=20.0, every_s=0.05, refusal=plaza.PlazaError):
    """The first answer of `ask` that is no `refusal` and not False; fails with the last error."""
    give_up = time.monotonic() + within_s
    while True:
        try:
            answer = ask()
        except refusal as error:
            answer, last = False, error
        else:
            last = answer
        if answer is not False:
            return answer
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {within_s} s; last: {last!r}")
        time.sleep(every_s)
