"""The version and the code's licence, for everything that names them without importing the package."""

__version__ = "0.1.0"
LICENCE = "Apache-2.0"
