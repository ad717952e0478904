"""Fits `supabase:` to what the daemon reads in the manifest. Of the key only its path passes through here.

What the daemon could not use is warned about; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from supervise.config import Config
from supervise.errors import Problem
from supervise.fitting import absolute
from supervise.fitting_alerts import advice, daemon_identity, unusable
from supervise.model import Scope, SupabaseTarget, TableMap

FILE = "file"


def supabase_target(config: Config) -> SupabaseTarget | None:
    """None where nothing of it is written."""
    written = config.supabase
    key = written.key if written.key and written.key.kind == FILE else None
    target = SupabaseTarget(
        url=written.url,
        key_file=absolute(config.folder, key.path) if key else None,
        publishable_key=written.publishable_key,
        tables=tuple(
            TableMap(one.table, one.key or one.columns["agent_name"], one.columns, one.words)
            for one in written.tables.values()
        ),
    )
    return target if target != SupabaseTarget() else None


def supabase_warnings(config: Config, scope: Scope) -> Iterator[Problem]:
    """A key that cannot be read, or by too many."""
    key = config.supabase.key
    if key is None:
        return
    if key.kind != FILE:
        text = "the reconciler reads plain files: write file:PATH"
        yield config.problem(text, "supabase", "key", warning=True)
        return
    path = absolute(config.folder, key.path)
    if why := unusable(path, daemon_identity(scope), advice=advice(path, scope)):
        yield config.problem(why, "supabase", "key", warning=True)
