"""How fast: our networks and operations against other libraries, fairly.

Each peer computes in a process of its own; they take turns. Before anything is timed,
their numbers must agree.
"""
