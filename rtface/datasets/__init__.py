"""Public data sets' own layouts, read as they were published: one short file a layout.

`formats.choose.read(name, path)` lists a set's pictures with their labels as `Record`; pixels are decoded only when a
record is loaded. `formats.parquet` writes records as a corpus file. This folder stands beside `train` and `evaluate`,
because both read through it, and needs neither torch nor (to read) pyarrow.

Every reader brings what it finds to rtface's conventions: px with pixel centres at integers (files that count from 1
are shifted), iBUG-68 order, left and right of parsing classes as the subject's, FER+'s order of emotions, yaw + nose
towards the image's right, pitch + nose up, roll + clockwise. What a file does not say stays unknown (None, 255).
"""
