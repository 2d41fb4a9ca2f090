"""New connectivity for a layer from the extrema on its two sides."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from structure_net.genome import AddConnections, Edit, Revive
from structure_net.growth.repair import revived_unit
from structure_net.growth.units import unit_layers
from structure_net.metrics import Probe

REVIVAL_DENSITY = 0.20  # of the sources, for a dead unit
RELIEF_DENSITY = 0.15  # of the units, for a linearised source


def extrema_aware(
    probe: Probe,
    index: int,
    dead_units: Int[np.ndarray, " dead"],
    linearised_sources: Int[np.ndarray, " linearised"],
    *,
    revival_density: float = REVIVAL_DENSITY,
    relief_density: float = RELIEF_DENSITY,
) -> list[Edit]:
    """Edits for sparse layer `index`. Each dead unit of it begins anew with a share of the sources,
    or as many as it had where those are more; each linearised source gets connections of weight 0
    to a share of the units that are not dead.

    The two sets are of different sides: `dead_units` number the layer's units, those of
    `linearised_sources` the units before it. A dead unit stays where its layer is none of
    `unit_layers` or no draw of sources varies.
    """
    lists, hidden = probe.layers[index].connections, unit_layers(probe)
    edits: list[Edit] = []
    if index in hidden:
        fewest = round(revival_density * lists.sources)
        tried = [revived_unit(probe, index, unit, fewest) for unit in dead_units.tolist()]
        if units := tuple(one for one in tried if one is not None):
            edits.append(Revive(layer=hidden[index], units=units))
    taken = np.zeros((lists.units, lists.sources), dtype=bool)
    taken[lists.rows, lists.columns] = True
    taken[dead_units] = True  # whose sources are drawn anew
    draw, each = probe.draw("growth", "relief", index), round(relief_density * lists.units)
    places: list[int] = []
    for source in linearised_sources.tolist():
        free = np.flatnonzero(~taken[:, source])
        chosen = draw.choice(free, min(each, len(free)), replace=False)
        places += (chosen * lists.sources + source).tolist()
    if places:
        edits.append(AddConnections(layer=index, places=tuple(sorted(places))))
    return edits
