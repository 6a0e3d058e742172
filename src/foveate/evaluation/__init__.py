"""Evaluation: how good a classifier is, with honest intervals, and a page that shows it."""

from foveate.evaluation.comparison import Comparison, compare_paired
from foveate.evaluation.comparison_report import ComparedRun, differing_settings, write_comparison
from foveate.evaluation.intervals import Estimate, clustered, wilson
from foveate.evaluation.learning import LearningPoint, advice
from foveate.evaluation.metrics import Evaluation, LabelMeasures, evaluate
from foveate.evaluation.paired import (
    DifferentTestSets,
    Paired,
    compare_predictions,
    compare_with_first,
)
from foveate.evaluation.report import ReportDetails, write_report

__all__ = [
    "ComparedRun",
    "Comparison",
    "DifferentTestSets",
    "Estimate",
    "Evaluation",
    "LabelMeasures",
    "LearningPoint",
    "Paired",
    "ReportDetails",
    "advice",
    "clustered",
    "compare_paired",
    "compare_predictions",
    "compare_with_first",
    "differing_settings",
    "evaluate",
    "wilson",
    "write_comparison",
    "write_report",
]
