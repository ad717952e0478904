-- An `agent_status` that somebody made by hand, as guides in the field do, is given the columns of ours in place: its rows,
-- its key, its triggers and what refers to it stay, and its writers go on under the host ''. Runs before all else.
-- What others had made of its rights goes: policies that let everybody in, and what was granted to anon.

do $$
declare
  here constant regclass := to_regclass('public.agent_status');
  has constant text[] := array(select a.attname from pg_catalog.pg_attribute a
                               where a.attrelid = here and a.attnum > 0 and not a.attisdropped);
  written constant text[] := array['agent_name', 'status', 'health', 'last_heartbeat', 'last_error', 'last_activity',
                                   'updated_at'];
  one text;
  said text;
begin
  if here is null then
    return;
  end if;
  if (select c.relkind from pg_catalog.pg_class c where c.oid = here) <> 'r'
     or not has @> array['agent_name', 'status', 'health', 'last_heartbeat', 'updated_at'] then
    raise exception 'there is a public.agent_status of another kind: rename it, or tell its owner';
  end if;
  if has @> array['host'] or has @> array['name'] then
    raise exception 'there is a public.agent_status with columns of our names that we did not make: rename it';
  end if;
  if exists (select from public.agent_status group by agent_name having count(*) > 1) then
    raise exception 'public.agent_status has several rows of one agent_name: delete all but one of each';
  end if;

  for one in
    select a.attname from pg_catalog.pg_attribute a
    where a.attrelid = here and a.attnum > 0 and not a.attisdropped and a.attnotnull and not a.atthasdef and a.attidentity = ''
      and a.attname <> all (written)
  loop
    raise warning 'column "%" of agent_status must be given and hosts give none: give it a default, else new agents are refused', one;
  end loop;

  for one in select p.polname from pg_catalog.pg_policy p where p.polrelid = here loop
    raise warning 'policy "%" of agent_status was dropped: who may read is a matter of supervise_members now', one;
    execute format('drop policy %I on public.agent_status', one);
  end loop;

  -- Words and numbers of ours must fit, whatever was checked before; what is checked of other columns stays.
  for one, said in
    select c.conname, pg_get_constraintdef(c.oid) from pg_catalog.pg_constraint c
    where c.conrelid = here and c.contype = 'c' and exists (
      select from pg_catalog.pg_attribute a
      where a.attrelid = here and a.attnum = any (c.conkey) and a.attname = any (written))
  loop
    raise warning 'check "%" of agent_status was dropped, hosts write what it may refuse: %', one, said;
    execute format('alter table public.agent_status drop constraint %I', one);
  end loop;
  for one in select unnest(array['last_heartbeat', 'last_error', 'last_activity']) intersect select unnest(has) loop
    execute format('alter table public.agent_status alter column %I drop not null', one);
  end loop;
  for one in
    select a.attname from pg_catalog.pg_attribute a
    where a.attrelid = here and a.atttypid in ('varchar'::regtype, 'bpchar'::regtype) and a.atttypmod > 0
      and a.atttypmod - 4 < case a.attname when 'status' then 8 when 'agent_name' then 500
                                           when 'last_error' then 8192 when 'last_activity' then 8192 end
  loop
    begin
      execute format('alter table public.agent_status alter column %I type text', one);
    exception when feature_not_supported then
      raise warning 'column "%" of agent_status may be too short and a view keeps it so: rows that do not fit are refused', one;
    end;
  end loop;
  if not exists (select from pg_catalog.pg_index i where i.indrelid = here and i.indisunique and i.indpred is null
                 and i.indkey::text = (select a.attnum::text from pg_catalog.pg_attribute a
                                       where a.attrelid = here and a.attname = 'agent_name')) then
    alter table public.agent_status add constraint agent_status_agent_name_key unique (agent_name);
  end if;
  if (select a.atttypid from pg_catalog.pg_attribute a where a.attrelid = here and a.attname = 'status')
     not in ('text'::regtype, 'varchar'::regtype) then
    alter table public.agent_status alter column status drop default, alter column status type text using status::text;
  end if;
  begin -- so many rows come and go that an integer would not last
    if has @> array['id'] and (select a.atttypid from pg_catalog.pg_attribute a
                               where a.attrelid = here and a.attname = 'id') = 'integer'::regtype then
      alter table public.agent_status alter column id type bigint;
      one := pg_get_serial_sequence('public.agent_status', 'id');
      if one is not null then
        execute format('alter sequence %s as bigint', one);
      end if;
    end if;
  exception when feature_not_supported then
    null; -- a view shows it; our own writers take a number for new agents only
  end;

  alter table public.agent_status
    add column host text not null default '' check (length(host) <= 255),
    add column name text check (length(name) between 1 and 80),
    add column project text not null default '' check (length(project) <= 255),
    add column unit text not null default '' check (length(unit) <= 255),
    add column platform text not null default '' check (length(platform) <= 32),
    add column phase text check (phase in (
      'absent', 'inactive', 'queued', 'starting', 'active', 'stopping', 'restarting', 'failed')),
    add column reason text not null default 'ByHand' check (length(reason) <= 64),
    add column message text not null default '' check (length(message) <= 8192),
    add column since timestamptz not null default now(),
    add column observed_status text not null default 'unknown' check (observed_status in (
      'running', 'warning', 'error', 'stopped', 'starting', 'stopping', 'unknown')),
    add column observed_reason text not null default 'ByHand' check (length(observed_reason) <= 64),
    add column health_parts text not null default '[]' check (length(health_parts) <= 65536),
    add column pid bigint,
    add column incarnation text check (length(incarnation) <= 255),
    add column boot text check (length(boot) <= 64),
    add column started_at timestamptz,
    add column restarts bigint not null default 0,
    add column source text check (source in ('beat', 'ping', 'observed')),
    add column next_try timestamptz,
    add column lock_status text check (lock_status in (
      'running', 'warning', 'error', 'stopped', 'starting', 'stopping', 'unknown')),
    add column lock_health integer check (lock_health between 0 and 100),
    add column lock_reason text check (length(lock_reason) <= 8192),
    add column lock_by text check (length(lock_by) <= 255),
    add column lock_until timestamptz,
    add column outdated boolean not null default false,
    add column outdated_by text not null default '[]' check (length(outdated_by) <= 65536),
    add column cpu double precision,
    add column memory bigint,
    add column tasks bigint,
    add column revision text check (length(revision) <= 255),
    add column epoch bigint not null default 0,
    add column seq bigint not null default 0,
    add column if not exists last_error text,
    add column if not exists last_activity text;
  update public.agent_status s set
    name = named.slug || case when named.place > 1 then '_' || left(md5(s.agent_name), 8) else '' end,
    since = coalesce(s.updated_at, s.last_heartbeat, now()),
    observed_status = case
      when s.status in ('running', 'warning', 'error', 'stopped', 'starting', 'stopping') then s.status
      else 'unknown' end
    from (
      select sl.agent_name, sl.slug, row_number() over (partition by sl.slug order by sl.agent_name) as place
      from (select a.agent_name, coalesce(nullif(left(trim(both '_' from regexp_replace(
              lower(a.agent_name), '[^a-z0-9]+', '_', 'g')), 40), ''), 'agent') as slug from public.agent_status a) sl
    ) named
    where named.agent_name = s.agent_name;
  alter table public.agent_status
    alter column name set not null,
    add constraint agent_status_host_name_key unique (host, name),
    add constraint agent_status_words check (host = '' or agent_name <> '' and length(agent_name) <= 500
      and status in ('running', 'warning', 'error', 'stopped', 'starting', 'stopping', 'unknown')
      and health between 0 and 100 and length(last_error) <= 8192 and length(last_activity) <= 8192);

  if has_table_privilege('anon', here, 'insert') and not (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = here) then
    raise warning 'agent_status was open to everybody: writers that use the anon key need the secret key from now on';
  end if;
  revoke all on public.agent_status from public, anon, authenticated;
end $$;
