"""`python -m plaza_serving.native` compiles for this environment; `--state` says what is there.

With `--if-possible` a machine without a compiler is no failure; sources that do not compile are.
"""

from __future__ import annotations

import sys

from plaza_serving.native import loading
from plaza_serving.native.building import CannotCompileError, NoCompilerError, build


def main(arguments: list[str]) -> int:
    if arguments == ["--state"]:
        sys.stdout.write(f"{loading.state().value}\n")
        return 0
    try:
        build(loading.place())
    except CannotCompileError as error:
        sys.stderr.write(
            f"not compiled: {error}\nEverything runs interpreted, and does the same.\n"
        )
        return int(not isinstance(error, NoCompilerError) or arguments != ["--if-possible"])
    sys.stdout.write(f"compiled into {loading.place()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
