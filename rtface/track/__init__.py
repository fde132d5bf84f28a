"""Faces over time: stable ids, motion, and when the detector should look again."""

from rtface.track.face_look import look_of
from rtface.track.track import Track
from rtface.track.tracker import Tracker, first_crop

__all__ = ["Track", "Tracker", "first_crop", "look_of"]
