"""INT8 ranges from a user's own pictures, and what each precision loses: the gates that `auto` asks."""
