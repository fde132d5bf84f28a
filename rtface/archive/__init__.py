"""Many files into outputs of their own: a list of jobs, processes that do them, and a state file to go on from."""
