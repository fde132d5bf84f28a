"""Public data sets' own layouts, one short file a layout; `rtface.datasets.registry` lists them."""
