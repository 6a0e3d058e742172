"""Images wait in the `queue`; the `pool` has a `slot` for each `process`, which is a `worker`."""
