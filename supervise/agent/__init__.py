"""What an agent imports: signs of life to its service manager and to `supervise`, the claim to be alone, its secrets.

It needs Python 3.9, the standard library and sdnotify, and nothing else of ours: it is also a distribution of its own.
It must never raise into the agent for reasons of its own, never block it, and never beat by itself: a beat means that
the agent's loop turns, so there is no thread and no timer here.
"""

from __future__ import annotations

from supervise.agent.agent import Agent
from supervise.agent.credentials import SecretMissing, secret

__all__ = ["Agent", "SecretMissing", "secret"]
