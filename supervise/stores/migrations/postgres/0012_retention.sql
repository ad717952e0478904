-- History that a host has kept for long enough goes, by the database's clock and so many rows at a time that nobody waits.
-- A day of it stays whatever a host says: its key may have leaked. What a host with a wrong clock dates back has just come.

create index agent_samples_by_time on public.agent_samples (host, at);

create function public.retain_history(
  host text, events double precision, samples double precision, most int default 5000) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  h constant text := supervise.host_of(retain_history.host);
  batch constant int := greatest(0, least(most, 5000));
  events_before constant timestamptz := now() - make_interval(secs => greatest(events, 86400));
  samples_before constant timestamptz := now() - make_interval(secs => greatest(samples, 86400));
  old_events bigint;
  old_samples bigint;
begin
  delete from public.agent_events where id in (
    select e.id from public.agent_events e
    where e.host = h and e.at < events_before and e.arrived_at < events_before limit batch);
  get diagnostics old_events = row_count;
  delete from public.agent_samples where ctid = any (array(
    select s.ctid from public.agent_samples s
    where s.host = h and s.at < samples_before and s.arrived_at < samples_before limit batch));
  get diagnostics old_samples = row_count;
  delete from public.supervise_commands where id in (
    select c.id from public.supervise_commands c
    where c.host = h and c.state not in ('queued', 'claimed')
      and c.requested_at < events_before limit batch);
  return jsonb_build_object('events', old_events, 'samples', old_samples);
end $$;

revoke all on function public.retain_history from public, anon, authenticated;
grant execute on function public.retain_history to service_role, supervise_host;
notify pgrst, 'reload schema';
