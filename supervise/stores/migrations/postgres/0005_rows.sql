-- What happens to a row of agent_status whoever writes it: names for those who give none, foreign writes, locks.

create function supervise.slug(title text) returns text
language sql immutable set search_path = '' as $$
  select coalesce(nullif(left(trim(both '_' from regexp_replace(lower(title), '[^a-z0-9]+', '_', 'g')), 40), ''), 'agent')
$$;

create function supervise.agent_status_before_insert() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.name is null and new.host = '' then
    new.name := supervise.slug(new.agent_name);
    if exists (select from public.agent_status s where s.host = new.host and s.name = new.name
               and s.agent_name <> new.agent_name) then
      new.name := new.name || '_' || left(md5(new.agent_name), 8);
    end if;
  end if;
  return new;
end $$;

-- What writers by hand say is what is observed of nobody's rows: it is shown again when a lock ends. Whom a host has lost
-- and a writer by hand takes up again is disowned no more.
create function supervise.agent_status_by_hand() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.observed_status := case
    when new.status in ('running', 'warning', 'error', 'stopped', 'starting', 'stopping', 'unknown') then new.status
    else 'unknown' end;
  if tg_op = 'UPDATE' and old.host = '' and new.reason = 'Disowned' then
    new.reason := 'ByHand';
    new.observed_reason := 'ByHand';
    new.message := '';
  end if;
  return new;
end $$;

create function supervise.agent_status_health_by_hand() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.observed_health := new.health;
  return new;
end $$;

-- A host raises (epoch, seq) with all that it writes, nobody else does: so what others write is seen.
-- A lock replaces what is shown, never what was observed, and ends within a day.
create function supervise.agent_status_before_update() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  locks constant text[] := array['lock_status', 'lock_health', 'lock_reason', 'lock_by', 'lock_until', 'overwritten_at'];
begin
  if (new.epoch, new.seq) is distinct from (old.epoch, old.seq) then
    new.overwritten_at := null;
  elsif to_jsonb(new) - locks is distinct from to_jsonb(old) - locks then
    new.overwritten_at := now();
    if new.updated_at is not distinct from old.updated_at then
      new.updated_at := now();
    end if;
  end if;
  if old.lock_status is null and new.lock_status is null then
    return new;
  end if;
  if old.lock_status is null then
    new.observed_health := new.health;
  end if;
  if (new.lock_status, new.lock_health, new.lock_reason, new.lock_until)
     is distinct from (old.lock_status, old.lock_health, old.lock_reason, old.lock_until) then
    new.lock_by := supervise.asker();
    new.lock_until := coalesce(new.lock_until, now() + interval '2 hours');
    new.lock_health := coalesce(new.lock_health, new.health);
    new.lock_reason := coalesce(new.lock_reason, '');
    if new.lock_until > now() + interval '24 hours' then
      raise exception 'a lock ends within 24 hours' using errcode = '23514';
    end if;
  end if;
  if new.lock_status is null or new.lock_until <= now() then
    new.status := new.observed_status;
    if new.host = '' then
      new.health := coalesce(new.observed_health, new.health);
    end if;
    if new.reason in ('HostSilent', 'Disowned', 'Removed') then -- what was observed is not known to be true any more
      new.status := 'unknown';
      new.health := 0;
    end if;
    new.overwritten_at := now();
    new.lock_status := null;
    new.lock_health := null;
    new.lock_reason := null;
    new.lock_by := null;
    new.lock_until := null;
  else
    new.status := new.lock_status;
    new.health := new.lock_health;
  end if;
  return new;
end $$;

create trigger supervise_by_hand before insert or update of status on public.agent_status
  for each row when (new.host = '') execute function supervise.agent_status_by_hand(); -- by its name before the others
create trigger supervise_by_hand_health before update of health on public.agent_status
  for each row when (new.host = '') execute function supervise.agent_status_health_by_hand();
create trigger supervise_insert before insert on public.agent_status
  for each row execute function supervise.agent_status_before_insert();
create trigger supervise_update before update on public.agent_status
  for each row execute function supervise.agent_status_before_update();

-- A host whose rows somebody else has deleted opens a new session, and sends all of them: an epoch below 0 has ended, and is
-- given to nobody again. The session itself stays: by it the host's other rows are found should it be silent. `seen_at = now()`: it was the host itself, who
-- has just given a sign of life in this transaction.
create function supervise.agent_status_after_delete() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.supervise_sessions s set epoch = -abs(s.epoch)
    where s.seen_at <> now() and s.host in (select gone.host from gone);
  return null;
end $$;
create trigger supervise_delete after delete on public.agent_status referencing old table as gone
  for each statement execute function supervise.agent_status_after_delete();

create function supervise.agent_status_after_truncate() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.supervise_sessions set epoch = -abs(epoch);
  return null;
end $$;
create trigger supervise_truncate after truncate on public.agent_status
  for each statement execute function supervise.agent_status_after_truncate();

-- The name under which an agent is shown: its title, or `Title @host` where another host has that already.
create function supervise.shown_name(host text, name text, title text) returns text
language sql stable security definer set search_path = '' as $$
  select wanted.shown
  from (values (1, title), (2, left(title, 200) || ' @' || left(host, 200)),
               (3, left(title, 150) || ' @' || left(host, 150) || ' (' || name || ')')) as wanted (place, shown)
  where not exists (select from public.agent_status s
                    where s.agent_name = wanted.shown and (s.host, s.name) <> (shown_name.host, shown_name.name))
     or wanted.place = 3
  order by wanted.place limit 1
$$;
