-- For dashboards: the view that they know, changes as they happen, and a sweep where pg_cron is there. The view needs no
-- sweep: it says itself that a host is silent, though nobody lives who could write that into the table.

do $$ begin
  if to_regclass('public.agent_health_latest') is not null then
    raise warning 'agent_health_latest is there already and stays as it is: it need not know that a host is silent';
  else
    create view public.agent_health_latest with (security_invoker = true) as
      select s.agent_name, s.host,
             case when said.silent then 'unknown' else s.status end as status,
             case when said.silent then 0 else s.health end as health,
             case when said.silent then 'HostSilent' else s.reason end as reason,
             case when said.silent and s.reason <> 'HostSilent'
               then 'Its host was last heard of at ' || to_char(h.seen_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC.'
               else s.message end as message,
             s.last_heartbeat, s.last_error, s.last_activity, s.updated_at,
             extract(epoch from now() - s.last_heartbeat) as heartbeat_age
      from public.agent_status s
      left join public.host_status h on h.host = s.host
      cross join lateral (
        select coalesce(s.lock_until <= now(), true) -- a lock is shown until it ends
               and (s.reason = 'HostSilent' or coalesce(h.seen_at < now() - interval '60 seconds', false)) as silent
      ) as said;
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
  if exists (select from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p on p.oid = r.prpubid
             where p.pubname = 'supabase_realtime' and r.prrelid = 'public.agent_status'::regclass) then
    raise warning 'agent_status was taken out of Realtime: subscribe to agent_events, or ask from time to time';
    alter publication supabase_realtime drop table public.agent_status;
  end if;
end $$;

-- Whether it is scheduled now. `supervise db migrate` asks again: pg_cron may come later.
create function supervise.schedule_sweep() returns boolean
language plpgsql set search_path = '' as $$
begin
  if not exists (select from pg_catalog.pg_extension where extname = 'pg_cron') then
    return false;
  end if;
  begin
    perform cron.schedule('supervise-sweep', '30 seconds', 'select public.sweep_silent_hosts()');
  exception when others then -- pg_cron before 1.5 knows minutes only
    perform cron.schedule('supervise-sweep', '* * * * *', 'select public.sweep_silent_hosts()');
  end;
  return true;
end $$;
revoke all on function supervise.schedule_sweep from public, anon, authenticated, service_role;
select supervise.schedule_sweep();

notify pgrst, 'reload schema';
