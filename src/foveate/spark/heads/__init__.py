"""Heads fitted by Spark ML on features that lie in a DataFrame."""
