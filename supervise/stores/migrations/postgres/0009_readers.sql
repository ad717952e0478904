-- For dashboards: the view that they know, changes as they happen, and a sweep where pg_cron is there.

do $$ begin
  if to_regclass('public.agent_health_latest') is null then
    create view public.agent_health_latest with (security_invoker = true) as
      select s.agent_name, s.host, s.status, s.health, s.reason, s.message, s.last_heartbeat, s.last_error, s.last_activity,
             s.updated_at, extract(epoch from now() - s.last_heartbeat) as heartbeat_age
      from public.agent_status s;
    revoke all on public.agent_health_latest from public, anon, authenticated;
    grant select on public.agent_health_latest to authenticated, service_role;
  end if;
end $$;

-- Events alone are published: rows change with every tick of every host, more often than any plan of Realtime allows.
do $$ begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime' and not puballtables)
     and not exists (select from pg_catalog.pg_publication_tables
                     where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'agent_events') then
    alter publication supabase_realtime add table public.agent_events;
  end if;
end $$;

do $$ begin
  if exists (select from pg_catalog.pg_extension where extname = 'pg_cron') then
    begin
      perform cron.schedule('supervise-sweep', '30 seconds', 'select public.sweep_silent_hosts()');
    exception when others then -- pg_cron before 1.5 knows minutes only
      perform cron.schedule('supervise-sweep', '* * * * *', 'select public.sweep_silent_hosts()');
    end;
  end if;
end $$;

notify pgrst, 'reload schema';
