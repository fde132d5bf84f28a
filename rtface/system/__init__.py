"""The ground floor: clock, files, machine facts, hand-offs between threads, OpenCV kept quiet, pictures."""
