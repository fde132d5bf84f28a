"""Scripts that measure, each printing a table and then one JSON line; and the script that makes the demo clip."""
