"""The classifier as a REST API.

    connection ─> guard ─> app ─> service ─> line ─> pool ─> process ═ pipe ═> worker

A request comes in on a `connection`, passes the `guard` (tokens, limits, log), and its images
wait in the `line` until one of the `pool`'s processes takes them.
"""
