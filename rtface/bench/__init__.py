"""How long each stage takes on this machine: the harness, its report, and the facts that figures need beside them."""
