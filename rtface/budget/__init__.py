"""The latency budget of a stream: stage costs, each frame's deadline, the quality ladder, and carried values."""

from rtface.budget.costs import Costs, faces_stage
from rtface.budget.ladder import Ladder
from rtface.budget.levels import Level, ladder_levels, parsing_matters_most
from rtface.budget.result_cache import Carry
from rtface.budget.rotation import Turns
from rtface.budget.scheduler import Planner
from rtface.budget.timer import Budget

__all__ = [
    "Budget",
    "Carry",
    "Costs",
    "Ladder",
    "Level",
    "Planner",
    "Turns",
    "faces_stage",
    "ladder_levels",
    "parsing_matters_most",
]
