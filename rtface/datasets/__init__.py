"""Labelled data: one model of it, public sets' own layouts, and the corpus in which rtface keeps it.

`registry.read(name, path)` lists a set's pictures as `LabelledImage`, their pixels decoded only when one is loaded;
`readers/` has a short file for each layout, as it was published. `writer` writes them as a corpus file, which `corpus`
reads. This folder stands beside `train` and `evaluate`, because both read through it, and needs neither torch nor
(except for the corpus) pyarrow.

Every reader brings what it finds to rtface's conventions: px with pixel centres at integers (files that count from 1
are shifted), iBUG-68 order, left and right of parsing classes as the subject's, FER+'s order of emotions, yaw + nose
towards the image's right, pitch + nose up, roll + clockwise. What a file does not say stays unknown (None, 255).
"""
