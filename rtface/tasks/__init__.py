"""Tensors to typed results, one file a task; the crop geometry stands beside them."""
