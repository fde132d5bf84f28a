"""Training data: the corpus reader, the samplers and their augmentation."""
