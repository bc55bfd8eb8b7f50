"""The peers' side of the benchmarks: programs that each peer's own Python runs, and the versions of all its packages.

They import nothing of ours and share no code: each is what a user of that peer would write.
"""
