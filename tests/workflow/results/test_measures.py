"""Numbers by name."""

from __future__ import annotations

from foveate.workflow.results.measures import metric_names


def test_labels_in_names_of_metrics() -> None:
    labels = ["a/b", "a:b", "été", "a" * 300, "..", " ", "ok/"]
    found = metric_names(labels)
    assert list(found) == labels
    assert len(set(found.values())) == len(labels)
    assert (found["a/b"], found["a:b"], found["été"]) == ("a_b", "a_b 2", "été")
    assert all(0 < len(name) <= 155 and "/" not in name for name in found.values())
