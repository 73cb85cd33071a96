"""How notebooks draw: colours, and where pictures go."""

import pathlib

import matplotlib

PICTURES = pathlib.Path(__file__).parent.parent / "docs" / "pictures"

# Told apart by all kinds of colour vision (Okabe and Ito, 2008).
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#464646"]
matplotlib.rcParams.update({
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e1e1e1",
    "axes.titlelocation": "left",
    "figure.figsize": (8, 4.5),
    "savefig.bbox": "tight",
    # The same drawing has the same bytes.
    "svg.hashsalt": "moesim",
})


def save(figure, name):
    """Puts a picture into docs/pictures/, as SVG."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
