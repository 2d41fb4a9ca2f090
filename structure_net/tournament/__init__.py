"""The main job: a tournament from its first trial to its champion."""

from structure_net.tournament.begin import resume, start
from structure_net.tournament.tournament import Tournament, performer

__all__ = ["Tournament", "performer", "resume", "start"]
