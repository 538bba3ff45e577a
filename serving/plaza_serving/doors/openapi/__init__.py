"""The OpenAPI 3.1 document of the inference port.

`contracts/openapi-inference.json` is its snapshot, written by
`python -m plaza_serving.doors.openapi > contracts/openapi-inference.json`. Tests send every request
example through the door and check each answer against its schema: an example here is a promise.
"""

from plaza_serving.doors.openapi.whole import document, text

__all__ = ["document", "text"]
