"""mealkit: a paper's recipe as a locked, reproducible image. This file runs inside the image too."""

__version__ = "0.1.0"
