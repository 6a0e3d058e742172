"""Stages for pipelines of Spark ML."""
