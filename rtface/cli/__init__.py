"""The command line: ``app`` finds the verb, one file a verb runs it."""
