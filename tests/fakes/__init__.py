"""Real implementations of the rooms' protocols that need nothing from outside."""
