"""Agents described once in `agents.yaml`, run by the operating system, told truly by one table."""

__version__ = "0.1.0"
