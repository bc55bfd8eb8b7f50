"""Training: a plan, a feed, objectives and one loop. Ray in launch, callbacks, worker, health and fetchers alone."""
