"""Boxes, crops, mirror images and similarities: plain geometry, which knows no network and no result."""
