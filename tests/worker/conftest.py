"""Fixtures of the engines: a host process over a real socket, and a real model."""

from engines.conftest import onnx_folder, start_host

__all__ = ["onnx_folder", "start_host"]
