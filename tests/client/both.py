"""What lets one test tell the story of both clients."""

from plaza._again import Pace


class Blocking:
    """AsyncClient, each verb awaited on the spot, so that one test serves both clients."""

    def __init__(self, target, runner):
        self._target, self._runner = target, runner

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if not callable(found):
            return Blocking(found, self._runner)

        def verb(*args, **kwargs):
            return self._runner.run(found(*args, **kwargs))

        return verb


class Time:
    """`slept` is what was waited; `chance` is every random number."""

    def __init__(self, chance=0.0):
        self.now, self.slept, self.chance = 100.0, [], chance

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds):
        self.sleep(seconds)

    def pace(self, kind):
        asynchronous = "async" in kind
        sleep = self.sleep_async if asynchronous else self.sleep
        return Pace(lambda: self.now, sleep, lambda: self.chance)
