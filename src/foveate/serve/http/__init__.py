"""From a connection to the endpoints and back, a file each.

    accepting ─> connection ─> middleware ─> routes ─> uploads ─> `serve.service`

The middleware asks `proxies` and `browsers` who asks, `tokens` whether they may, and reads the
`body`, decoded by `encoding`; what is refused is in `refusals`, and how often in `pacing`.
"""
