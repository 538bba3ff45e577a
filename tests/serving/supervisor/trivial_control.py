"""Control in a few lines: answers /readyz, and tells Ray to run the trivial pool when it does not.

Run as `python trivial_control.py TOKEN_FILE CONTROL_PORT DASHBOARD_PORT HTTP_PORT`.
"""

import json
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

token, control, dashboard, public = Path(sys.argv[1]).read_text().strip(), *map(int, sys.argv[2:])
URL = f"http://127.0.0.1:{dashboard}/api/serve/applications/"
HEADERS = {"authorization": f"Bearer {token}", "content-type": "application/json"}
WANTED = {
    "http_options": {"host": "127.0.0.1", "port": public},
    "applications": [
        {"name": "main", "route_prefix": "/", "import_path": "trivial_app:build"},
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
        time.sleep(0.2)


threading.Thread(target=reconcile, daemon=True).start()
HTTPServer(("127.0.0.1", control), Ready).serve_forever()
