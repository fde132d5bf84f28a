"""Labelled pictures in, figures out: how well the shipped networks do, end to end.

Every figure is measured on what `rtface.analyze` gives for a whole picture: a face that the detector did not find
counts as missed. One file a task; the definitions and where they come from stand in `metrics` and in each task.
Reading the corpus needs pyarrow: ``pip install 'rtface[eval]'``.
"""
