"""Control in a few lines: answers /readyz, and tells Ray to run the trivial pool when it does not.

python trivial_control.py TOKEN_FILE CONTROL_PORT DASHBOARD_PORT HTTP_PORT [HOST REPLICAS]

With several replicas there is at most one on each node.
"""

import json
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

token = Path(sys.argv[1]).read_text().strip()
control, dashboard, public = map(int, sys.argv[2:5])
host, replicas = sys.argv[5:7] or ("127.0.0.1", "1")
URL = f"http://127.0.0.1:{dashboard}/api/serve/applications/"
HEADERS = {"authorization": f"Bearer {token}", "content-type": "application/json"}
WANTED = {
    "http_options": {"host": host, "port": public},
    "proxy_location": "EveryNode",
    "applications": [
        {
            "name": "main",
            "route_prefix": "/",
            "import_path": "trivial_app:build",
            "deployments": [
                {"name": "Trivial", "num_replicas": int(replicas), "max_replicas_per_node": 1}
            ],
        },
    ],
}


class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def call(method, body=None):
    request = urllib.request.Request(URL, body, HEADERS, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def reconcile():
    while True:
        try:
            if not json.loads(call("GET")).get("applications"):
                call("PUT", json.dumps(WANTED).encode())
        except OSError as error:
            print(error, flush=True)  # noqa: T201 into the log that the supervisor keeps
        time.sleep(0.2)  # its own pace: Ray announces nothing


threading.Thread(target=reconcile, daemon=True).start()
HTTPServer(("127.0.0.1", control), Ready).serve_forever()
