-- Who may do what. anon: nothing. authenticated: nothing, unless a member; no function at all. supervise_host: its own
-- host's rows, by the functions that hosts need. service_role: everything, as at Supabase always.
-- Every table was closed to everybody as it was made (`supervise.stores.ledger`), so here is only what is opened.

do $$
declare
  ours constant text[] := array[
    'agent_status', 'agent_events', 'agent_samples', 'agent_intents', 'agent_settings', 'host_status',
    'supervise_migrations', 'supervise_sessions', 'supervise_host_keys', 'supervise_members', 'supervise_commands'];
  claims constant text := $c$nullif(current_setting('request.jwt.claims', true), '')::jsonb$c$;
  member constant text := $c$(select exists (select from public.supervise_members m where m.role = any (%1$L)
    and m.user_id::text = %2$s ->> 'sub') or coalesce(%2$s -> 'app_metadata' ->> 'supervise' = any (%1$L), false))$c$;
  reads constant text := format(member, '{viewer,operator}', claims);
  acts constant text := format(member, '{operator}', claims);
  own constant text := 'host = (select supervise.key_host())';
  one text;
begin
  foreach one in array ours loop
    execute format('grant all on public.%I to service_role', one);
  end loop;
  foreach one in array array['agent_status', 'agent_events', 'agent_samples', 'host_status', 'supervise_commands'] loop
    execute format('grant select on public.%I to authenticated, supervise_host', one);
    execute format('create policy supervise_members_read on public.%I for select to authenticated using (%s)', one, reads);
    execute format('create policy supervise_host_reads on public.%I for select to supervise_host using (%s)', one, own);
  end loop;
  execute format('create policy supervise_members_lock on public.agent_status for update to authenticated
    using (%1$s) with check (%1$s)', acts);
  execute format('create policy supervise_members_ask on public.supervise_commands for insert to authenticated
    with check (%s)', acts);
  execute format('create policy supervise_own_membership on public.supervise_members for select to authenticated
    using (user_id::text = %s ->> ''sub'')', claims);
  foreach one in array array['agent_events', 'agent_samples'] loop
    execute format('create policy supervise_host_writes on public.%I for insert to supervise_host with check (%s)', one, own);
  end loop;
end $$;
grant insert (id, host, name, at, kind, before, after, reason, message, by) on public.agent_events to supervise_host;
grant insert (
    host, name, at, phase, status, reason, message, since, observed_status, observed_reason, health, health_parts, pid,
    restarts, last_heartbeat, last_error, cpu, memory, tasks, revision) on public.agent_samples to supervise_host;
grant insert (host, platform, version, boot, started_at, agents, message, updated_at, epoch, seq) on public.host_status
  to supervise_host;

grant select on public.supervise_members to authenticated;
grant update (lock_status, lock_health, lock_reason, lock_until) on public.agent_status to authenticated;
grant insert (host, name, kind) on public.supervise_commands to authenticated;

-- A host writes in no epoch that it was not given: else a leaked key could take all that ever come.
create function supervise.key_epoch() returns bigint
language sql stable security definer set search_path = '' as $$
  select s.epoch from public.supervise_sessions s where s.host = supervise.key_host()
$$;
grant insert (
    host, name, agent_name, project, unit, platform, phase, status, reason, message, since, observed_status, observed_reason,
    health, health_parts, pid, incarnation, boot, started_at, restarts, last_heartbeat, source, last_error, last_activity,
    next_try, outdated, outdated_by, cpu, memory, tasks, revision, updated_at, epoch, seq),
  update (
    host, name, agent_name, project, unit, platform, phase, status, reason, message, since, observed_status, observed_reason,
    health, health_parts, pid, incarnation, boot, started_at, restarts, last_heartbeat, source, last_error, last_activity,
    next_try, outdated, outdated_by, cpu, memory, tasks, revision, updated_at, epoch, seq)
  on public.agent_status to supervise_host;
create policy supervise_host_inserts on public.agent_status for insert to supervise_host
  with check (host = (select supervise.key_host()) and epoch <= (select supervise.key_epoch()));
create policy supervise_host_updates on public.agent_status for update to supervise_host
  using (host = (select supervise.key_host()))
  with check (host = (select supervise.key_host()) and epoch <= (select supervise.key_epoch()));
grant update (platform, version, boot, started_at, agents, message, updated_at, epoch, seq) on public.host_status
  to supervise_host;
create policy supervise_host_inserts on public.host_status for insert to supervise_host
  with check (host = (select supervise.key_host()) and epoch <= (select supervise.key_epoch()));
create policy supervise_host_updates on public.host_status for update to supervise_host
  using (host = (select supervise.key_host()))
  with check (host = (select supervise.key_host()) and epoch <= (select supervise.key_epoch()));
grant update (state, claimed_at, finished_at, detail) on public.supervise_commands to supervise_host;
create policy supervise_host_works on public.supervise_commands for update to supervise_host
  using (host = (select supervise.key_host())) with check (host = (select supervise.key_host()));

do $$
declare
  one regprocedure;
begin
  for one in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'supervise'::regnamespace
      or p.pronamespace = 'public'::regnamespace and p.proname in (
        'open_session', 'report_status', 'append_events', 'append_samples', 'sweep_silent_hosts', 'prune_history',
        'request_command', 'claim_commands', 'finish_command')
  loop
    execute format('revoke all on function %s from public, anon, authenticated', one);
    execute format('grant execute on function %s to service_role', one);
  end loop;
end $$;
grant execute on all functions in schema supervise to supervise_host;
grant execute on function
  public.open_session, public.report_status, public.append_events, public.append_samples, public.sweep_silent_hosts,
  public.claim_commands, public.finish_command to supervise_host;
grant usage on all sequences in schema public to service_role;
