"""Evaluation: how good a classifier is, with honest intervals, and a page that shows it."""

from foveate.evaluation.comparison import Comparison, compare_paired
from foveate.evaluation.intervals import Estimate
from foveate.evaluation.learning import LearningPoint, advice
from foveate.evaluation.metrics import Evaluation, LabelMeasures, evaluate
from foveate.evaluation.report import ReportDetails, write_report

__all__ = [
    "Comparison",
    "Estimate",
    "Evaluation",
    "LabelMeasures",
    "LearningPoint",
    "ReportDetails",
    "advice",
    "compare_paired",
    "evaluate",
    "write_report",
]
