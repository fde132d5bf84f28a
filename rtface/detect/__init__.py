"""Detectors find the faces of a whole picture: the protocol, and ours."""

from rtface.detect.base import BatchDetector, Detections, Detector, LaterDetector, UprightDetector
from rtface.detect.mos import MosDetector

__all__ = ["BatchDetector", "Detections", "Detector", "LaterDetector", "MosDetector", "UprightDetector"]
