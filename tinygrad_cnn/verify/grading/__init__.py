"""Somebody's files run in processes of their own; the verdict is made out of reach."""
