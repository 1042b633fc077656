"""A command-line tensor playground for PyTorch."""

__version__ = "0.1.0"
