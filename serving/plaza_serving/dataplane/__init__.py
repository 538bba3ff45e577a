"""The path of one request, free of transport: access, admission, queue, hosting, settlement."""
