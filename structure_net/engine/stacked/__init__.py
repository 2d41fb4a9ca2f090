"""A cohort as one program: its networks' products, gradients and steps stacked."""

from structure_net.engine.stacked.engine import StackedEngine

__all__ = ["StackedEngine"]
