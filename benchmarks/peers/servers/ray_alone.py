"""A Ray of its own for one server: started, serving, and gone when the bench says so.

To be imported when the environment is set: Ray reads it as it is imported.
"""

import os
import signal
import threading

import ray
import work
from ray import serve


def serve_until_stopped(served):
    """Serves a bound deployment on `PORT` until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    ray.init(
        address="local",
        num_cpus=work.CORES,
        include_dashboard=False,
        object_store_memory=100_000_000,
        log_to_driver=False,
        _temp_dir=os.environ["PLACE"],
    )
    serve.start(http_options={"host": "127.0.0.1", "port": work.PORT})
    quiet = {"log_level": "WARNING", "enable_access_log": False}
    serve.run(served, logging_config=quiet)
    stop.wait()
    serve.shutdown()
    ray.shutdown()
