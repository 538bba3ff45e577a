"""ONNX Runtime in process: no server. A process per core works through the same values by itself.

MODEL=… BUNDLE=… python alone_server.py SECONDS LENGTH … < bodies      prints one line of JSON
"""

import itertools
import json
import multiprocessing
import statistics
import sys
import time

import work


def loop(bodies, seconds, ready, told):
    model = work.Model()
    turn = itertools.cycle(bodies)
    model([model.read(next(turn))])
    ready.wait()
    begun, took = time.perf_counter(), []
    begun_cpu = time.process_time()
    while (at := time.perf_counter()) - begun < seconds:
        model([model.read(next(turn))])
        took.append(time.perf_counter() - at)
    told.put((len(took), time.perf_counter() - begun, time.process_time() - begun_cpu, took))


def main():
    seconds, lengths = float(sys.argv[1]), map(int, sys.argv[2:])
    bodies = [sys.stdin.buffer.read(length) for length in lengths]
    context = multiprocessing.get_context("spawn")
    ready, told = context.Barrier(work.CORES), context.Queue()
    processes = [
        context.Process(target=loop, args=(bodies, seconds, ready, told)) for _ in range(work.CORES)
    ]
    for process in processes:
        process.start()
    parts = [told.get() for _ in processes]
    for process in processes:
        process.join()
    count = sum(part[0] for part in parts)
    cuts = statistics.quantiles((t for part in parts for t in part[3]), n=100)
    found = {
        "requests_per_second": sum(part[0] / part[1] for part in parts),
        "requests": count,
        "errors": 0,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "cpu_us": round(sum(part[2] for part in parts) / count * 1e6, 1),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
