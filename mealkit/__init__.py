"""mealkit: a paper's recipe as a locked, reproducible image. Runs in the image too."""

__version__ = "0.1.0"
