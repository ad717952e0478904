"""The reconciler as it is installed, on a real machine: what it may do, and what it survives."""
