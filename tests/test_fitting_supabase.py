"""What of `supabase:` gets into the manifest, and what is warned about."""

from __future__ import annotations

from pathlib import Path

from supervise.config import Config
from supervise.fitting_supabase import supabase_target, supabase_warnings
from supervise.model import Scope, SupabaseTarget, TableMap
from tests.config import loading

AGENTS = "agents: {sma: {command: /bin/true}}\n"


def loaded(folder: Path, text: str) -> Config:
    return loading.loaded(folder, AGENTS + text)


def told(folder: Path, text: str) -> list[str]:
    return [one.text for one in supabase_warnings(loaded(folder, text), Scope.USER)]


def test_what_is_not_written_is_not_in_the_manifest(tmp_path: Path) -> None:
    assert supabase_target(loaded(tmp_path, "")) is None


def test_the_file_of_the_key_starts_at_the_file_that_names_it(tmp_path: Path) -> None:
    text = "supabase: {url: https://x.supabase.co, key: file:keys/x, publishable_key: sb_publishable_1}"
    assert supabase_target(loaded(tmp_path, text)) == SupabaseTarget(
        "https://x.supabase.co", tmp_path / "keys/x", "sb_publishable_1"
    )


def test_a_name_alone_stands_for_a_table_with_the_columns_that_all_know(tmp_path: Path) -> None:
    target = supabase_target(loaded(tmp_path, "supabase: {tables: {agent_status: front.agents}}"))
    assert target is not None
    (table,) = target.tables
    assert (table.table, table.key) == ("front.agents", "agent_name")
    assert set(table.columns) == set(table.columns.values()) >= {"agent_name", "status", "health", "last_heartbeat"}


def test_a_table_may_have_columns_and_words_of_its_own(tmp_path: Path) -> None:
    text = """supabase:
  tables:
    agent_status: {table: front, columns: {agent_name: label, status: state}, words: {running: healthy}}
"""
    target = supabase_target(loaded(tmp_path, text))
    assert target is not None
    assert target.tables == (
        TableMap("front", "label", {"agent_name": "label", "status": "state"}, {"running": "healthy"}),
    )


def test_a_key_that_cannot_be_used_is_warned_about(tmp_path: Path) -> None:
    text = "supabase: {url: https://x.supabase.co, key: file:key}"
    assert "there is no file" in told(tmp_path, text)[0]
    (tmp_path / "key").write_text("sb_secret_PlantedPlanted")
    (tmp_path / "key").chmod(0o644)
    (warning,) = told(tmp_path, text)
    assert "can be read by others" in warning
    assert "Planted" not in warning
    (tmp_path / "key").chmod(0o600)
    assert told(tmp_path, text) == []
    assert "file:PATH" in told(tmp_path, text.replace("file:", "encrypted:"))[0]
