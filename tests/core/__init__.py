"""The walk back through the graph, and all that may be done to a graph meanwhile."""
