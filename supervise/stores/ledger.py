"""The steps of a database that all hosts share, as SQL that says itself what it has done. Pure.

Whoever runs it (`supervise db migrate`, the Supabase CLI, a person in an editor): the database remembers what ran.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervise.stores.migrations import SHARED, Migration, migrations

TABLES = (
    "agent_status",
    "agent_events",
    "agent_samples",
    "agent_intents",
    "agent_settings",
    "host_status",
    "supervise_migrations",
    "supervise_sessions",
    "supervise_host_keys",
    "supervise_members",
    "supervise_commands",
    "supervise_heartbeats",
)
"""All that is ours."""
LEDGER = """create table if not exists public.supervise_migrations (
  number integer primary key, name text not null, checksum text not null,
  applied_at timestamptz not null default now());
"""
CLOSE = """
-- A project's default privileges open every new table to everybody: closed in the same transaction.
do $$
declare
  one text;
begin
  for one in
    select c.relname from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relrowsecurity
      and c.relname in ({tables})
  loop
    execute format('alter table public.%I enable row level security', one);
    execute format('revoke all on public.%I from public, anon, authenticated', one);
  end loop;
end $$;
"""
RECORD = "insert into public.supervise_migrations (number, name, checksum) values ({number}, '{name}', '{checksum}');\n"
ONCE = """do $once$
begin
  if exists (select from public.supervise_migrations where number = {number}) then
    raise notice 'step {name} has run already';
    return;
  end if;
  execute $step$
{text}$step$;
end $once$;
"""


def steps() -> tuple[Migration, ...]:
    return migrations(SHARED)


def recorded(step: Migration) -> str:
    """The step, and that it has run; for one transaction."""
    return f"{LEDGER}\n{_recorded(step)}"


def script(todo: Iterable[Migration]) -> str:
    """All of them for an editor or `psql`, each in a transaction of its own."""
    return "\n".join(f"-- {step.name}\nbegin;\n{once(step)}commit;\n" for step in todo)


def once(step: Migration) -> str:
    """The step and that it has run, or nothing where it has run already; for one transaction."""
    return f"{LEDGER}\n{ONCE.format(number=step.number, name=step.name, text=_recorded(step))}"


def _recorded(step: Migration) -> str:
    record = RECORD.format(number=step.number, name=step.name, checksum=step.checksum)
    return f"{step.text}{CLOSE.format(tables=_quoted(TABLES))}\n{record}"


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
