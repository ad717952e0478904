"""Chaos: agents on a real systemd, faults at random, and an oracle of its own that holds every row against the truth.

    plan (seed) ─▶ faults ─▶ the lab ◀─ look (/proc, systemctl) ─▶ truth ─▶ oracle ─▶ report
                                 └──────▶ board (rows as a reader gets them) ──▶┘

Nothing here imports `supervise`; only the agents' own program does, as agents do.
"""
