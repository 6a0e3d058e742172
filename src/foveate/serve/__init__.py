"""The classifier as a REST API: where to look.

    server                      start, listen, stop
    http/                       from a connection to the endpoints and back
    service                     images in, answers out, within the limits
    workers/                    the queue, and processes that decode and infer
    operations/                 logs, metrics, traces, probes, TLS, reloading
    client/                     of such a server
    schemas, settings, models   what goes over the wire; limits; the classifiers

A request, file by file:

    http.accepting ─> http.connection ─> http.middleware ─> http.routes ─> http.uploads
      ─> service ─> workers.queue ─> workers.slot ─> workers.process ═ pipe ═> workers.worker

A request comes in on a `connection` and passes the `middleware` (tokens, limits, log); its images
wait in the `queue` until a `slot` of the `pool` has its process take them. The answer comes back
the same way.
"""
