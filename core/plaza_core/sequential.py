"""Sequential tests that may be looked at any time: e-processes for rates and for pairs.

Each function below takes the wealth of a bet against "this version is good" and one more block of
observations, and returns the wealth after it. Wealth starts at 1, every stake is fixed before the
block is seen, and every bet is fair or worse when the version is good, so wealth is a
non-negative supermartingale W with W₀ = 1. Ville's inequality then bounds the whole future at once:

    P(W ever reaches 1/a | the version is good) ≤ a

No correction for looking often, no sample size fixed ahead; stopping when wealth reaches 1/a is a
test of level a, and tests whose levels sum to α raise a false alarm with at most α together (union
bound). One cannot bet on every way of being bad with one stake, so the wealth is divided evenly
over a few stakes: the mean of supermartingales that start at 1 is one too. And whoever bets all on
a version being bad is ruined while it is good, and would be late when it turns bad: half is held
back, and a little of it put in with every block. Moving cash into a fair bet keeps it fair.

    rate_above      one rate ≤ limit         likelihood ratios, request by request
    rate_differs    a rate ≤ another + more  likelihood ratio of a block to the nearest good pair
    sign_positive   pairs lean to neither    1 + stake × sign

Sources: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting"
(JRSS B, 2024), for predictable bets and mixtures; R. Turner, A. Ly and P. Grünwald, "Generic
E-variables for exact sequential k-sample tests that allow for optional stopping" (JSPI, 2024) and
R. Turner and P. Grünwald, "Exact anytime-valid confidence intervals for contingency tables and
beyond" (SPL, 2023), for two rates; S. Howard, A. Ramdas, J. McAuliffe and J. Sekhon, "Time-uniform,
nonparametric, nonasymptotic confidence sequences" (Annals of Statistics, 2021), for time-uniform
bounds; J. Ville, "Étude critique de la notion de collectif" (1939).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, log, log1p

from pydantic import BaseModel, ConfigDict

LIFTS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""How much worse than allowed a rate may be: the alternatives that `rate_differs` bets on."""
STAKES = (0.1, 0.25, 0.5, 0.9)
TIMES = (1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""How many times its limit a rate may be: the alternatives that `rate_above` bets on."""

_RECENT = 2000
"""Requests after which the guess of the stable rate has mostly forgotten what was before."""
_PATIENCE = 50
"""Of the cash that is left, 1 / (blocks + this) is put in with the next block."""
_LEAST = 1e-6
_LARGEST = 690.0
"""Natural logarithm of the largest wealth that is told; more does not fit into a float."""


class Wealth(BaseModel):
    """What the bets of one test have become."""

    model_config = ConfigDict(frozen=True)

    logs: tuple[float, ...] = ()
    """Natural logarithm of what each stake holds; empty before the first block."""
    cash: float = 1.0
    """Not at stake yet."""
    blocks: int = 0
    recent: tuple[float, float] = (0.0, 0.0)
    """(events, requests) of the other arm, fading: what its rate is guessed from."""

    @property
    def value(self) -> float:
        """The e-value: the mean over the stakes, and the cash."""
        return exp(min(_LARGEST, _log_mean(self.logs, self.cash)))

    def after(self, gains: Sequence[float]) -> Wealth:
        """After a block in which each stake grew by the factor exp(gain)."""
        part = 0.5 if not self.blocks else 1 / (self.blocks + _PATIENCE)
        put_in = log(self.cash * part)
        logs = self.logs or (-inf,) * len(gains)
        grown = tuple(_log_sum(had, put_in) + g for had, g in zip(logs, gains, strict=True))
        fresh = {"logs": grown, "cash": self.cash * (1 - part), "blocks": self.blocks + 1}
        return self.model_copy(update=fresh)


def _log_sum(one: float, other: float) -> float:
    most = max(one, other)
    return most + log(exp(one - most) + exp(other - most))


def _log_mean(logs: Sequence[float], cash: float) -> float:
    """log(mean of exp(logs) + cash), without overflow."""
    if not logs:
        return log(cash)
    most = max(logs)
    mean = most + log(sum(exp(one - most) for one in logs) / len(logs))
    return _log_sum(mean, log(cash))


def rate_above(wealth: Wealth, events: int, requests: int, limit: float) -> Wealth:
    """Bet that more than `limit` of the requests are events.

    For an alternative q > limit the bet on one request is its likelihood ratio, (q/limit) for an
    event and (1-q)/(1-limit) else. Its expectation is 1 at rate `limit` and less below, given the
    requests before. The product over a block depends only on how many events it holds, so blocks
    may have any size and may end whenever somebody looks.
    """
    limit = min(max(limit, _LEAST), 0.999)
    if not requests:
        return wealth
    gains = []
    for times in TIMES:
        rate = min(limit * times, (limit + 999) / 1000)
        win, loss = log(rate / limit), log1p(-rate) - log1p(-limit)
        gains.append(events * win + (requests - events) * loss)
    return wealth.after(gains)


def rate_differs(
    wealth: Wealth, candidate: tuple[int, int], stable: tuple[int, int], more: float
) -> Wealth:
    """Bet that the candidate's rate is above the stable one's by more than `more`, in one block.

    Both are (events, requests) of the same stretch of time; n, m the requests. The alternative
    (a, b) is fixed before the block: b guessed from earlier blocks, a = b + more + lift. (a', b')
    is the pair with a' ≤ b' + more that is nearest to it in n·KL(a, a') + m·KL(b, b'). The bet is
    the likelihood ratio of (a, b) to (a', b') over the block. It is fair or worse for every good
    pair of rates: for requests whose rates average to x and y, its expectation is at most, by the
    inequality of means, ((n·A + m·B)/(n+m))^(n+m) with

        A = 1 + (x-a')(a-a') / (a'(1-a')),    B = 1 + (y-b')(b-b') / (b'(1-b'))

    and n(A-1) + m(B-1) is minus the slope of that distance at (a', b') towards (x, y), which is not
    negative when x ≤ y + more, because (a', b') is nearest and the good pairs are a convex set.

    Only averages over the block enter, so rates that both arms share may drift as they like. What
    ends a block must not depend on its outcomes; requests of a block must be independent of one
    another given their rates.
    """
    (k, n), (j, m) = candidate, stable
    if not n or not m:
        return wealth
    events, requests = wealth.recent
    b = (events + 0.5) / (requests + 100.0)
    gains = []
    for lift in LIFTS:
        a = min(b + more + lift, (9 + b + more) / 10)
        if a >= 1.0 or a - b <= more:
            gains.append(0.0)
            continue
        b0 = _nearest(a, b, n, m, more)
        a0 = b0 + more
        gain = k * log(a / a0) + (n - k) * (log1p(-a) - log1p(-a0))
        gain += j * log(b / b0) + (m - j) * (log1p(-b) - log1p(-b0))
        gains.append(gain)
    events, requests = events + j, requests + m
    fade = min(1.0, _RECENT / requests)
    recent = {"recent": (events * fade, requests * fade)}
    return wealth.after(gains).model_copy(update=recent)


def sign_positive(wealth: Wealth, plus: int, minus: int) -> Wealth:
    """Bet that of pairs that differ more than half are positive: 1 + stake × sign for each.

    Fair or worse when, given all pairs before, a pair is positive with no higher probability than
    negative. That holds for a pair of one run of each arm, drawn at random from the same stretch of
    time, when it was chance which request went to which arm: exchanging the two is then as likely,
    whatever load, bursts or tails both arms share.
    """
    if not plus + minus:
        return wealth
    return wealth.after([plus * log1p(stake) + minus * log1p(-stake) for stake in STAKES])


def reached(tests: Sequence[tuple[Wealth, float]]) -> int | None:
    """Index of the first test whose wealth has reached 1 / its level."""
    for index, (wealth, level) in enumerate(tests):
        if wealth.value >= 1 / level:
            return index
    return None


def _nearest(a: float, b: float, n: int, m: int, more: float) -> float:
    """b' in [b, a - more] where n·KL(a, b' + more) + m·KL(b, b') is least; it is convex in b'.

    Newton's method on the slope, kept inside the bracket by halving.
    """
    low, high = b, a - more
    x = (n * high + m * low) / (n + m)
    for _ in range(100):
        y = x + more
        over_x, over_y = 1 / (x * (1 - x)), 1 / (y * (1 - y))
        slope = n * (y - a) * over_y + m * (x - b) * over_x
        if slope > 0:
            high = x
        else:
            low = x
        curve = n * (y * y - 2 * a * y + a) * over_y**2 + m * (x * x - 2 * b * x + b) * over_x**2
        step = x - slope / curve
        if not low < step < high:
            step = (low + high) / 2
        if abs(step - x) <= 1e-15 + 1e-13 * x:
            return step
        x = step
    return x
