"""Training, export and quantisation. Needs the `train` extra (torch); nothing outside this folder may import it."""
