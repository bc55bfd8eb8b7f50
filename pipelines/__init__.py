"""Jobs: each a configuration, a ``run`` and a command; wiring, no logic."""
