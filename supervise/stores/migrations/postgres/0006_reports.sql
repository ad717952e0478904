-- How a host writes. Order is (epoch, seq), never a clock: the database gives the epoch, the host counts seq.

create function public.open_session(host text, instance text) returns jsonb
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  h constant text := supervise.host_of(host);
  before public.supervise_sessions;
  next_epoch bigint;
begin
  insert into public.supervise_sessions (host, epoch, instance, seen_at)
    values (h, 0, open_session.instance, '-infinity') on conflict (host) do nothing;
  select * into before from public.supervise_sessions s where s.host = h for update;
  select greatest(abs(before.epoch), max(s.epoch)) + 1 into next_epoch
    from (select epoch from public.agent_status where host = h
          union all select epoch from public.host_status where host = h) s;
  update public.supervise_sessions s
    set epoch = next_epoch, instance = open_session.instance, opened_at = now(), seen_at = now(), silent = false,
        mark = null
    where s.host = h;
  return jsonb_build_object('epoch', next_epoch) || case
    when before.instance <> open_session.instance and before.seen_at > now() - interval '60 seconds'
    then jsonb_build_object('cloned_by', before.instance) else '{}' end;
end $$;

-- The epoch in which this host writes now, null if none was opened; whoever writes in it has given a sign of life.
create function supervise.seen(host text, epoch bigint) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  h constant text := supervise.host_of(seen.host);
begin
  update public.supervise_sessions s set seen_at = now(), silent = false where s.host = h and s.epoch = seen.epoch;
  if found then
    update public.host_status s set seen_at = now() where s.host = h;
    update public.agent_status s set lock_status = null where s.host = h and s.lock_until <= now();
    return seen.epoch;
  end if;
  return (select s.epoch from public.supervise_sessions s where s.host = h);
end $$;

-- Whether this session is one machine's alone. A machine that was copied as it ran shares epoch and numbers with its copy,
-- yet neither knows the mark of what the other has reported since. `marks`: of this report, and of the newest one that was
-- answered. What is sent once more has the same; what arrives late knows an older one, and its answer is heard by nobody.
create function supervise.marked(host text, epoch bigint, marks text[]) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  h constant text := supervise.host_of(marked.host);
begin
  update public.supervise_sessions s set mark = marks[1]
    where s.host = h and s.epoch = marked.epoch and (s.mark is null or s.mark = any (marks));
  return found;
end $$;

create function public.report_status(
  host text, epoch bigint, rows jsonb, host_row jsonb default null, marks text[] default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
  h constant text := supervise.host_of(report_status.host);
  e constant bigint := report_status.epoch;
  current_epoch bigint;
  sent public.agent_status[];
  newest bigint;
  shared boolean;
  outrun boolean;
begin
  perform supervise.refuse_no_list(rows);
  current_epoch := supervise.seen(h, e);
  if current_epoch is distinct from e then
    return jsonb_build_object('rows', '[]'::jsonb, 'superseded', coalesce(current_epoch > e, false),
                              'unknown_session', coalesce(current_epoch < e, true), 'commands', 0);
  end if;
  sent := array(select r from (select distinct on (x.name) x from jsonb_populate_recordset(null::public.agent_status, rows) x
                               order by x.name, x.seq desc) as one (r));
  newest := greatest((host_row ->> 'seq')::bigint, (select max(r.seq) from unnest(sent) r));
  shared := marks is not null and not supervise.marked(h, e, marks);
  perform supervise.make_rows(h, e, sent);
  perform supervise.rename_rows(h, e, sent);
  update public.agent_status s set
    project = r.project, unit = r.unit, platform = r.platform, phase = r.phase, status = r.status, reason = r.reason,
    message = r.message, since = r.since, observed_status = r.observed_status, observed_reason = r.observed_reason,
    health = r.health, health_parts = r.health_parts, pid = r.pid, incarnation = r.incarnation, boot = r.boot,
    started_at = r.started_at, restarts = r.restarts, last_heartbeat = r.last_heartbeat, source = r.source,
    last_error = r.last_error, last_activity = r.last_activity, next_try = r.next_try, outdated = r.outdated,
    outdated_by = r.outdated_by, cpu = r.cpu, memory = r.memory, tasks = r.tasks, revision = r.revision,
    updated_at = r.updated_at, epoch = e, seq = r.seq
    from unnest(sent) r
    where s.host = h and s.name = r.name and (e, r.seq) > (s.epoch, s.seq);
  perform supervise.report_host(h, e, host_row);
  -- Somebody else wrote a higher number than the host has reached: only a new epoch overcomes that.
  outrun := exists (select from public.host_status s
                    where s.host = h and s.epoch = e and s.seq > (host_row ->> 'seq')::bigint);
  return jsonb_build_object(
    'rows', supervise.answer(h, e, sent, newest), 'superseded', false, 'unknown_session', outrun, 'shared', shared,
    'commands', (select count(*) from public.supervise_commands c
                 where c.host = h and c.state = 'queued' and c.expires_at > now()));
end $$;

-- Nobody's rows of these titles, or those that some host showed as `Title @host`, are this host's from now on. No other way
-- leads to them, so that a key that has leaked takes none but by saying so in a report.
create function supervise.take_over(host text, absent public.agent_status[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  h constant text := supervise.host_of(take_over.host);
  r public.agent_status;
begin
  for r in select * from unnest(absent) one order by one.agent_name loop
    update public.agent_status s set host = h, name = r.name, epoch = 0, seq = 0
      where s.host = '' and s.name = (
        select nobody.name from public.agent_status nobody
        where nobody.host = '' and (nobody.agent_name = r.agent_name
          or nobody.reason = 'Disowned' and exists (
            select from public.supervise_sessions q
            where nobody.agent_name = left(r.agent_name, 200) || ' @' || left(q.host, 200)
              or starts_with(nobody.agent_name, left(r.agent_name, 150) || ' @' || left(q.host, 150) || ' (')))
        order by nobody.agent_name <> r.agent_name, nobody.agent_name limit 1);
  end loop;
end $$;

-- Rows for agents that have none yet: nobody's row of that title, or a new one.
create function supervise.make_rows(h text, e bigint, sent public.agent_status[]) returns void
language plpgsql set search_path = '' as $$
declare
  absent public.agent_status[];
begin
  absent := array(select r from unnest(sent) r
                  where not exists (select from public.agent_status s where s.host = h and s.name = r.name));
  if cardinality(absent) = 0 then
    return;
  end if;
  perform supervise.take_over(h, absent);
  for attempt in 1..3 loop
    insert into public.agent_status (
      host, name, agent_name, project, unit, platform, phase, status, reason, message, since, observed_status,
      observed_reason, health, health_parts, pid, incarnation, boot, started_at, restarts, last_heartbeat, source,
      last_error, last_activity, next_try, outdated, outdated_by, cpu, memory, tasks, revision, updated_at, epoch, seq)
    select
      h, r.name, supervise.shown_name(h, r.name, r.agent_name), r.project, r.unit, r.platform, r.phase, r.status, r.reason,
      r.message, r.since, r.observed_status, r.observed_reason, r.health, r.health_parts, r.pid, r.incarnation, r.boot,
      r.started_at, r.restarts, r.last_heartbeat, r.source, r.last_error, r.last_activity, r.next_try, r.outdated,
      r.outdated_by, r.cpu, r.memory, r.tasks, r.revision, r.updated_at, e, r.seq
    from unnest(absent) r
    where not exists (select from public.agent_status s where s.host = h and s.name = r.name)
    order by r.agent_name
    on conflict do nothing; -- a host that was quicker with the same title: the next attempt sees its row
    exit when not exists (select from unnest(absent) r where not exists (
      select from public.agent_status s where s.host = h and s.name = r.name));
  end loop;
end $$;

-- Titles that have changed, each by itself, since another host may take one at this moment, or somebody else's table refer
-- to one. Comes before the new (epoch, seq): alone it would look like a foreign write.
create function supervise.rename_rows(h text, e bigint, sent public.agent_status[]) returns void
language plpgsql set search_path = '' as $$
declare
  found_name text;
  title text;
begin
  for found_name, title in
    select r.name, r.agent_name from unnest(sent) r join public.agent_status s on s.host = h and s.name = r.name
    where (e, r.seq) > (s.epoch, s.seq) and s.agent_name <> r.agent_name
      and s.agent_name <> supervise.shown_name(h, r.name, r.agent_name)
  loop
    begin
      set constraints all immediate;
      update public.agent_status s set agent_name = supervise.shown_name(h, found_name, title)
        where s.host = h and s.name = found_name;
    exception when unique_violation or foreign_key_violation then
      null; -- its next row tries again
    end;
  end loop;
end $$;

create function supervise.report_host(h text, e bigint, host_row jsonb) returns void
language plpgsql set search_path = '' as $$
declare
  r public.host_status;
begin
  if host_row is null then
    return;
  end if;
  r := jsonb_populate_record(null::public.host_status, host_row);
  update public.host_status s set
    platform = coalesce(r.platform, ''), version = coalesce(r.version, ''), boot = r.boot, started_at = r.started_at,
    agents = coalesce(r.agents, 0), message = coalesce(r.message, ''), updated_at = r.updated_at,
    epoch = e, seq = coalesce(r.seq, 0)
    where s.host = h and (e, coalesce(r.seq, 0)) >= (s.epoch, s.seq);
  insert into public.host_status (host, platform, version, boot, started_at, agents, message, updated_at, epoch, seq)
    select h, coalesce(r.platform, ''), coalesce(r.version, ''), r.boot, r.started_at, coalesce(r.agents, 0),
           coalesce(r.message, ''), r.updated_at, e, coalesce(r.seq, 0)
    where not exists (select from public.host_status s where s.host = h)
    on conflict do nothing;
end $$;

-- All rows that were sent, and of the host's others those that somebody else has written to or that are locked. `row`:
-- as it stands, where somebody else wrote it: what we did not write, or what is newer than the newest that we gave out.
create function supervise.answer(h text, e bigint, sent public.agent_status[], newest bigint) returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'name', coalesce(r.name, s.name),
      'applied', r.name is not null and s.name is not null and (s.epoch, s.seq) = (e, r.seq),
      'row', case when s.foreign_write then to_jsonb(s.whole) end,
      'lock', s.lock, 'title', s.agent_name) order by coalesce(r.name, s.name)), '[]')
  from unnest(sent) r
  full join (
    select a.name, a.agent_name, a.epoch, a.seq, a as whole,
      a.overwritten_at is not null or coalesce((a.epoch, a.seq) > (e, newest), false) as foreign_write,
      case when a.lock_status is not null then jsonb_build_object(
        'status', a.lock_status, 'health', a.lock_health, 'reason', a.lock_reason, 'by', a.lock_by,
        'until', a.lock_until) end as lock
    from public.agent_status a where a.host = h
  ) s on s.name = r.name
  where r.name is not null or s.foreign_write or s.lock is not null
$$;

create function public.append_events(host text, rows jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  h constant text := supervise.host_of(append_events.host);
  taken bigint;
begin
  perform supervise.refuse_no_list(rows);
  insert into public.agent_events (id, host, name, at, kind, before, after, reason, message, by)
    select r.id, h, r.name, r.at, r.kind, r.before, r.after, r.reason, r.message, r.by
    from jsonb_populate_recordset(null::public.agent_events, rows) r
    on conflict do nothing;
  get diagnostics taken = row_count;
  return jsonb_build_object('taken', taken);
end $$;

create function public.append_samples(host text, rows jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  h constant text := supervise.host_of(append_samples.host);
  taken bigint;
begin
  perform supervise.refuse_no_list(rows);
  insert into public.agent_samples (
    host, name, at, phase, status, reason, message, since, observed_status, observed_reason, health, health_parts, pid,
    restarts, last_heartbeat, last_error, cpu, memory, tasks, revision)
    select h, r.name, r.at, r.phase, r.status, r.reason, r.message, r.since, r.observed_status, r.observed_reason, r.health,
           r.health_parts, r.pid, r.restarts, r.last_heartbeat, r.last_error, r.cpu, r.memory, r.tasks, r.revision
    from jsonb_populate_recordset(null::public.agent_samples, rows) r
    on conflict do nothing;
  get diagnostics taken = row_count;
  return jsonb_build_object('taken', taken);
end $$;

-- Whether a row of a host that is silent says more than anybody knows: not swept yet, or written or unlocked since.
create function supervise.says_too_much(s public.agent_status) returns boolean
language sql stable set search_path = '' as $$
  select s.reason <> 'HostSilent' or s.lock_until <= now()
    or s.lock_status is null and (s.status, s.health) is distinct from ('unknown', 0)
$$;

-- Rows of hosts that were silent for a minute by the database's own clock are not known any more. What was observed stays.
-- Locks that have ended are taken off by the hosts that live, here where no host does so.
create function public.sweep_silent_hosts() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  silent public.supervise_sessions;
  hosts jsonb := '[]';
begin
  if supervise.asking_role() = 'supervise_host' then
    perform supervise.host_of(supervise.key_host());
  end if;
  for silent in
    select * from public.supervise_sessions q
    where q.seen_at < now() - interval '60 seconds' and (not q.silent or exists (
      select from public.agent_status s where s.host = q.host and supervise.says_too_much(s)))
    for update skip locked
  loop
    update public.agent_status s set status = 'unknown', reason = 'HostSilent', health = 0, since = now(), updated_at = now(),
      message = 'Its host was last heard of at ' || to_char(silent.seen_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC.'
      where s.host = silent.host and supervise.says_too_much(s);
    continue when silent.silent;
    update public.supervise_sessions q set silent = true where q.host = silent.host;
    insert into public.agent_events (id, host, name, at, kind, reason, message, by) values (
      'silent-' || md5(silent.host || silent.seen_at::text), silent.host, '', now(), 'host', 'HostSilent',
      'It was last heard of at ' || to_char(silent.seen_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC.',
      'supervise') on conflict do nothing;
    hosts := hosts || to_jsonb(silent.host);
  end loop;
  update public.agent_status s set lock_status = null where s.host = '' and s.lock_until <= now();
  perform supervise.expire_commands();
  return jsonb_build_object('hosts', hosts);
end $$;

-- History that is older goes, so many rows at a time that nobody waits for it. What a host with a wrong clock dates back
-- has just come.
create function public.prune_history(events_before timestamptz, samples_before timestamptz, most int default 5000) returns jsonb
language plpgsql set search_path = '' as $$
declare
  events bigint;
  samples bigint;
begin
  delete from public.agent_events where id in (
    select e.id from public.agent_events e where e.at < events_before and e.arrived_at < events_before limit most);
  get diagnostics events = row_count;
  delete from public.agent_samples where ctid in (
    select s.ctid from public.agent_samples s where s.at < samples_before and s.arrived_at < samples_before limit most);
  get diagnostics samples = row_count;
  delete from public.supervise_commands where id in (
    select c.id from public.supervise_commands c
    where c.requested_at < events_before and c.state not in ('queued', 'claimed') limit most);
  return jsonb_build_object('events', events, 'samples', samples);
end $$;
