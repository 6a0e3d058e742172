"""A network refined by many processes of a cluster."""
