"""Evaluation: how good a classifier is, with honest intervals, and a page that shows it."""

from foveate.evaluation.intervals import Estimate
from foveate.evaluation.metrics import Evaluation, LabelMeasures, evaluate
from foveate.evaluation.report import ReportDetails, write_report

__all__ = [
    "Estimate",
    "Evaluation",
    "LabelMeasures",
    "ReportDetails",
    "evaluate",
    "write_report",
]
