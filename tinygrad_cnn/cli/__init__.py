"""The command line. Of the commands, only the one that is asked for is imported."""
