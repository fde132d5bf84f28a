"""The latency budget of a stream: stage costs, each frame's deadline, the quality ladder, and carried values."""

from rtface.budget.budget import Budget
from rtface.budget.carry import Carry
from rtface.budget.costs import Costs
from rtface.budget.ladder import Ladder
from rtface.budget.levels import Level, ladder_levels, parsing_matters_most
from rtface.budget.planner import Planner
from rtface.budget.turns import Turns

__all__ = ["Budget", "Carry", "Costs", "Ladder", "Level", "Planner", "Turns", "ladder_levels", "parsing_matters_most"]
