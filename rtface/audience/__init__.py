"""Who is here, who looks, and for how long: visits, events and windows of a stream's results. Nobody is identified.

Nothing here reads or writes anything: `outputs` and `serve` do. Times are seconds of media or wall time, never frames.
"""
