"""Analysis: the metrics of a saved network, on the samples that its trial was measured on."""

from structure_net.analysis.analysis import Analysis, analyse
from structure_net.analysis.page import write_page
from structure_net.analysis.saved import Saved, find_saved

__all__ = ["Analysis", "Saved", "analyse", "find_saved", "write_page"]
