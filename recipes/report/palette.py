"""Colours of the runs, the same everywhere, chosen for colour-blind readers after Okabe and Ito (2008)."""

# In the order of the runs, on a light and on a dark page.
LIGHT = ("#0072b2", "#d55e00", "#009e73", "#b0578d", "#8a6d00", "#3d7fa6")
DARK = ("#4aa8e0", "#f08a4b", "#2fc79b", "#dd8fbf", "#e0b13c", "#8fcbee")


def tint(colour: str, share: float) -> str:
    """A colour mixed with white; `share` 1 gives the colour itself, 0 white."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def colour_of(index: int) -> str:
    """The colour of a run on white; they repeat from the seventh run on."""
    return LIGHT[index % len(LIGHT)]
