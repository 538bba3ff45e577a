"""The path of one request, free of transport: access, admission, queue, hosting, settlement."""

from plaza_serving.native.loading import use

use()
