"""What MLflow is told before it works."""

from __future__ import annotations

import os

import pytest

from foveate.history import tracking


def test_mlflow_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # MLflow's own reading of it; whether it reports at all, it decides otherwise under pytest.
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY

    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    assert not MLFLOW_DISABLE_TELEMETRY.get()
    with tracking._our_ways(patient=True):
        assert MLFLOW_DISABLE_TELEMETRY.get()
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ
