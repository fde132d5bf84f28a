"""One frame through the pipeline, without threads: streams in `video`, stills in `still`."""

from rtface.analyzer.analyzer import Analyzer

__all__ = ["Analyzer"]
