"""A stand-in for vLLM: its command line and its server, without a model."""
