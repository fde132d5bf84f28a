"""From options to running networks: what is selected and why, its accuracy gates, plans and speed tests."""
