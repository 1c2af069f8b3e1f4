"""Facts as Prometheus metrics; every exported name stands in `metrics.families`."""
