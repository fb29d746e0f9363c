"""Discriminative and generative diffusion models for satellite imagery, as a library.

Nothing here imports a user interface: pages and the command line stand on top of it.
"""

__version__ = "0.1.0"
