"""`agents.yaml` (with its overlay, or of the older layout) → a valid `Config`. Runs, imports and fetches nothing."""

from supervise.config.agent import AgentSettings
from supervise.config.find import find
from supervise.config.load import load
from supervise.config.schema import json_schema
from supervise.config.secrets import SecretSource
from supervise.config.sections import DependsOn, HeartbeatSettings, ProbeSettings
from supervise.config.settings import Config
from supervise.config.top import Alert, ReconcilerSettings, SupabaseSettings, WebSettings

__all__ = [
    "AgentSettings",
    "Alert",
    "Config",
    "DependsOn",
    "HeartbeatSettings",
    "ProbeSettings",
    "ReconcilerSettings",
    "SecretSource",
    "SupabaseSettings",
    "WebSettings",
    "find",
    "json_schema",
    "load",
]
