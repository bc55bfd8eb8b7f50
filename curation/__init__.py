"""From raw pictures with texts to a training table: sources, signals, verdicts, captions, pairs, selections."""
