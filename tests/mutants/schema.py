"""Mutations of the shared database. Each migrates a PostgreSQL and asks a real PostgREST, which takes a while."""

from __future__ import annotations

from tests.mutants import Mutation

STEPS = "supervise/stores/migrations"
BY_HAND, HEARTBEATS = f"{STEPS}/compat/0000_by_hand.sql", f"{STEPS}/compat/0010_heartbeats.sql"
READERS = f"{STEPS}/postgres/0009_readers.sql"
TABLES, ASKING, ROWS, REPORTS, COMMANDS, RIGHTS, RETENTION = (
    f"{STEPS}/postgres/{name}.sql"
    for name in (
        "0003_tables",
        "0004_asking",
        "0005_rows",
        "0006_reports",
        "0007_commands",
        "0008_rights",
        "0012_retention",
    )
)
TESTS = {
    READERS: "tests/supabase/test_cron.py tests/supabase/test_history.py tests/supabase/test_readers.py",
    **dict.fromkeys((BY_HAND, HEARTBEATS), "tests/supabase/test_rows_by_hand.py"),
    **dict.fromkeys(
        (TABLES, ASKING, ROWS, REPORTS, COMMANDS, RIGHTS, RETENTION),
        "tests/supabase/test_order.py tests/supabase/test_sessions.py tests/supabase/test_foreign_writes.py "
        "tests/supabase/test_history.py tests/supabase/test_rights.py",
    ),
}
MUTATIONS = (
    Mutation(REPORTS, "(e, r.seq) > (s.epoch, s.seq);", "true;"),
    Mutation(REPORTS, "coalesce(current_epoch > e, false)", "false"),
    Mutation(REPORTS, "coalesce(current_epoch < e, true)", "false"),
    Mutation(REPORTS, "greatest(abs(before.epoch), max(s.epoch)) + 1", "abs(before.epoch) + 1"),
    Mutation(REPORTS, "before.instance <> open_session.instance and ", ""),
    Mutation(REPORTS, " and before.seen_at > now() - interval '60 seconds'", ""),
    Mutation(REPORTS, "a.overwritten_at is not null or", ""),
    Mutation(REPORTS, "or coalesce((a.epoch, a.seq) > (e, newest), false)", ""),
    Mutation(REPORTS, "for attempt in 1..3", "for attempt in 1..1"),
    Mutation(
        REPORTS,
        "    update public.agent_status s set lock_status = null where s.host = h and s.lock_until <= now();\n",
        "",
    ),
    Mutation(REPORTS, "where q.seen_at < now() - interval '60 seconds' and (", "where ("),
    Mutation(REPORTS, "    continue when silent.silent;\n", ""),
    Mutation(REPORTS, "s.reason <> 'HostSilent' or s.lock_until <= now()", "s.reason <> 'HostSilent'"),
    Mutation(REPORTS, "or nobody.reason = 'Disowned' and exists", "or false and exists"),
    Mutation(REPORTS, "(e, coalesce(r.seq, 0)) >= (s.epoch, s.seq)", "true"),
    Mutation(
        REPORTS,
        "public.agent_events, rows) r\n    on conflict do nothing;",
        "public.agent_events, rows) r;",
    ),
    Mutation(ROWS, "    new.overwritten_at := now();\n    if new.updated", "    if new.updated"),
    Mutation(ROWS, "    new.status := new.lock_status;\n", ""),
    Mutation(ROWS, "interval '24 hours'", "interval '24 days'"),
    Mutation(ROWS, "where s.seen_at <> now() and s.host", "where s.host"),
    Mutation(ROWS, "if new.name is null and new.host = '' then", "if new.name is null then"),
    Mutation(ASKING, "and k.revoked_at is null ", ""),
    Mutation(ASKING, "and k.expires_at > now()", ""),
    Mutation(ASKING, " and k.host = supervise.claims() ->> 'host'", ""),
    Mutation(ASKING, "if asked is distinct from own then", "if false then"),
    Mutation(
        RIGHTS,
        " and epoch <= (select supervise.key_epoch()));\ngrant update (platform",
        ");\ngrant update (platform",
    ),
    Mutation(
        RIGHTS,
        "grant update (lock_status, lock_health, lock_reason, lock_until)",
        "grant update (lock_status, lock_health, lock_reason, lock_until, lock_by)",
    ),
    Mutation(RIGHTS, "grant insert (host, name, kind)", "grant insert (host, name, kind, actor)"),
    Mutation(
        RIGHTS,
        "acts constant text := format(member, '{operator}', claims)",
        "acts constant text := format(member, '{viewer,operator}', claims)",
    ),
    Mutation(
        RIGHTS,
        "grant update (state, claimed_at, finished_at, detail)",
        "grant update (state, claimed_at, finished_at, detail, expires_at)",
    ),
    Mutation(RIGHTS, "execute format('revoke all on function %s from public, anon, authenticated', one);", "null;"),
    Mutation(COMMANDS, "where c.state = 'queued' and c.expires_at <= now()", "where false"),
    Mutation(COMMANDS, "interval '1 hour'", "interval '1 minute'"),
    Mutation(
        TABLES,
        "set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);\ncomment on column public.agent_status",
        "set (fillfactor = 100);\ncreate index mut on public.agent_status (health);\n"
        "comment on column public.agent_status",
    ),
    Mutation(READERS, "alter publication supabase_realtime add table public.agent_events", "null"),
    Mutation(READERS, "'* * * * *', 'select public.sweep_silent_hosts()'", "'* * * * *', 'select 1'"),
    Mutation(READERS, "if not exists (select from pg_catalog.pg_extension where extname = 'pg_cron')", "if true"),
    Mutation(READERS, "coalesce(s.lock_until <= now(), true) --", "true --"),
    Mutation(READERS, "h.seen_at < now() - interval '60 seconds'", "h.seen_at < now() - interval '50 seconds'"),
    Mutation(READERS, "case when said.silent then 0 else s.health end", "s.health"),
    Mutation(REPORTS, "update public.host_status s set seen_at = now() where s.host = h;", ""),
    Mutation(REPORTS, "s.mark is null or s.mark = any (marks)", "true"),
    Mutation(REPORTS, "s.mark = any (marks)", "s.mark = marks[1]"),
    Mutation(REPORTS, "s.mark = any (marks)", "s.mark = marks[2]"),
    Mutation(REPORTS, "        mark = null\n", "        mark = mark\n"),
    Mutation(RETENTION, "secs => greatest(events, 86400)", "secs => events"),
    Mutation(RETENTION, "secs => greatest(samples, 86400)", "secs => samples"),
    Mutation(RETENTION, "e.host = h and ", ""),
    Mutation(RETENTION, "s.host = h and ", ""),
    Mutation(RETENTION, "least(most, 5000)", "5000"),
    Mutation(BY_HAND, "  revoke all on public.agent_status from public, anon, authenticated;\n", ""),
    Mutation(BY_HAND, "    execute format('drop policy %I on public.agent_status', one);\n", ""),
    Mutation(BY_HAND, "        execute format('alter sequence %s as bigint', one);\n", "        null;\n"),
    Mutation(HEARTBEATS, "      execute format('alter view %s set (security_invoker = true)', one.name);\n", ""),
    Mutation(HEARTBEATS, "where v.relkind = 'm' or v.relkind = 'v'", "where v.relkind = 'v'"),
)
