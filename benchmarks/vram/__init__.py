"""How far the memory estimator, and those of its peers, are from published measurements."""
