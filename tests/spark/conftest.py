"""The fixtures of a cluster, for all tests of this folder."""

from __future__ import annotations

from support.spark_cluster import Cluster, cluster, free_cluster, own_cluster, session

__all__ = ["Cluster", "cluster", "free_cluster", "own_cluster", "session"]
