"""Several cameras on one set of networks."""

from rtface.cameras.cameras import Cameras

__all__ = ["Cameras"]
