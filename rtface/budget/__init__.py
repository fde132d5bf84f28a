"""The latency budget of a stream: stage costs, each frame's deadline, the quality ladder, and values carried over."""

from rtface.budget.box import BoxLadder
from rtface.budget.config import LadderConfig
from rtface.budget.costs import Costs, faces_stage
from rtface.budget.ladder import Ladder
from rtface.budget.levels import Level, ladder_levels, parsing_matters_most
from rtface.budget.result_cache import ResultCache
from rtface.budget.rotation import FaceRotation
from rtface.budget.scheduler import FrameScheduler
from rtface.budget.timer import Budget, Company

__all__ = [
    "BoxLadder",
    "Budget",
    "Company",
    "Costs",
    "FaceRotation",
    "FrameScheduler",
    "Ladder",
    "LadderConfig",
    "Level",
    "ResultCache",
    "faces_stage",
    "ladder_levels",
    "parsing_matters_most",
]
