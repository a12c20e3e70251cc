"""Pictures of a graph: its plain data as DOT, rendered by Graphviz."""
