"""How good a generator is: its pictures beside the real ones, numbers with intervals, and a page to look at."""
