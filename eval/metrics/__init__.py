"""Pure measures on arrays: nothing here knows a table, a cluster or a run."""
