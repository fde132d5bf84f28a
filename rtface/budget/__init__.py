"""Stage costs, the frame's deadline, and the values that stand in for stages that did not fit."""

from rtface.budget.budget import Budget
from rtface.budget.carry import Carry
from rtface.budget.costs import Costs

__all__ = ["Budget", "Carry", "Costs"]
