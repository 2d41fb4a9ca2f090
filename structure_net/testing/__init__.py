"""The contracts of the extension families, as checks for the tests of those who write extensions.

Each check takes one function or callable object, plays it through many drawn cases, and raises
AssertionError with a sentence at the first case that breaks the contract. The package's own members
pass the same checks.
"""

from structure_net.testing.fitness import check_fitness
from structure_net.testing.metric import check_metric
from structure_net.testing.mutation import check_mutation
from structure_net.testing.selection import check_selection

__all__ = ["check_fitness", "check_metric", "check_mutation", "check_selection"]
