"""The scan service: the one part of us that may look into everybody's processes, and does next to nothing else.

Small, standard library only, without a network: whoever holds CAP_SYS_PTRACE should be easy to read.
"""
