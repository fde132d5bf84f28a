"""`rtface serve`: a local page, an HTTP API and metrics. Needs the extra `serve`; nothing else imports this.

The analysis thread only appends a result to the hub's inbox. Everything else happens in the hub's thread (audience,
metrics), the server's (HTTP) and the encoder's (JPEG, once a frame for all viewers, only while somebody looks).
"""
