"""What who runs a server needs: logs, metrics, traces, probes, TLS, and files that are replaced."""
