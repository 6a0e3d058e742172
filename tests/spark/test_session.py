from __future__ import annotations
import pytest
pytestmark = pytest.mark.slow
def test_a(session):
    assert session.range(0,4,1,4).count()==4
    assert session.sparkContext.defaultParallelism==2
def test_b(own_cluster):
    from foveate.spark.session import open_session
    with open_session(own_cluster.target()) as s:
        assert s.range(0,4,1,4).count()==4
        own_cluster.kill_executor()
        own_cluster.kill_worker()
        assert s.range(0,4,1,4).count()==4
        print(own_cluster.memory())
def test_c(free_cluster):
    print(free_cluster.processes())
