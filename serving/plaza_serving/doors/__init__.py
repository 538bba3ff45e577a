"""The doors: they translate protocols into calls of the plane and back, and decide nothing else.

`http.HttpDoor` is the ASGI application of a replica. Reading order: `http` (one request from route
to reply), `routes`, `exchange`, `body`, then the dialects `oip` with `tensors_json` and
`tensors_binary`, and `tasks`; `problems` turns errors into answers.
"""

from plaza_serving.native.loading import use

use()
