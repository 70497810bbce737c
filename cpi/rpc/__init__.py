"""The CPI protocol: one JSON request on stdin, one JSON response on stdout, both as server and as client."""
