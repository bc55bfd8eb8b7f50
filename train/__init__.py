"""Training: a plan, a feed, objectives and one loop; Ray only in `train.worker`."""
