"""Complete configurations: one function is one job that can be run."""
