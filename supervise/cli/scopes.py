"""Whose agents a command means, and whether it can know all of them. Reads no file of the user's."""

from __future__ import annotations

import os
import shlex
import sys

from supervise.cli.output import print_warning
from supervise.control import OPERATORS
from supervise.errors import Damaged, UsageError
from supervise.manifest import read_manifests
from supervise.model import Scope
from supervise.places import Places


def scope_of(as_user: bool) -> Scope:
    """For reading: whose units are meant."""
    return Scope.USER if as_user else Scope.SYSTEM


def acting_scope(as_user: bool, *, operators: bool = False) -> Scope:
    """For changing: root means the machine, anybody else must say `--user`. `operators`: those may do it too."""
    root = os.geteuid() == 0
    if as_user and root:
        raise UsageError("--user is for ordinary users; root installs and acts for the whole machine")
    if not as_user and not root:
        command = shlex.join(["supervise", *sys.argv[1:]])
        others = f", or as a member of {OPERATORS} while the reconciler runs" if operators else ""
        raise UsageError(f"this needs root: `sudo {command}`, or `{command} --user` for agents of your own{others}")
    return scope_of(as_user)


def warn_of_damage(*scopes: Places) -> None:
    """Name the manifests that cannot be read: their agents are missing from what follows.

    Raises Damaged where no other is left: what is installed is not nothing, but not known.
    """
    read = [read_manifests(there) for there in scopes]
    reasons = [why for _, damaged in read for why in damaged.values()]
    if reasons and not any(whole for whole, _ in read):
        raise Damaged("; ".join(reasons))
    for why in reasons:
        print_warning(why)
