-- `trading_agent_heartbeats`, the log that agents in the field write and dashboards read. One that was made by hand stays
-- as it is; else a view of that name takes what they write and shows beside it how our agents are and were. A host may add
-- to it for its own agents, nobody may change it. And what others made of these tables, views on views as well, lets nobody
-- see more than they may by themselves.

create function supervise.is_own_agent(title text) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.agent_status s where s.agent_name = title and s.host = supervise.key_host())
$$;
revoke all on function supervise.is_own_agent from public, anon, authenticated;
grant execute on function supervise.is_own_agent to service_role, supervise_host;

create function supervise.heartbeats_instead_of() returns trigger
language plpgsql set search_path = '' as $$
begin
  if tg_op <> 'INSERT' then
    raise exception 'beats are not changed' using errcode = '42501';
  end if;
  insert into public.supervise_heartbeats as b (agent_name, timestamp, last_error, status, metadata)
    values (new.agent_name, coalesce(new.timestamp, now()), new.last_error, coalesce(new.status, 'healthy'),
            coalesce(new.metadata, '{}'))
    returning b.id, b.timestamp, b.status, b.metadata, b.created_at
    into new.id, new.timestamp, new.status, new.metadata, new.created_at;
  return new;
end $$;
revoke all on function supervise.heartbeats_instead_of from public, anon, authenticated;
grant execute on function supervise.heartbeats_instead_of to service_role, supervise_host;

do $$
declare
  here regclass := to_regclass('public.trading_agent_heartbeats');
  member constant text := $c$(select exists (select from public.supervise_members m
    where m.user_id::text = nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
    or coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'app_metadata' ->> 'supervise'
      in ('viewer', 'operator'), false))$c$;
  one text;
begin
  if here is null then
    create table public.supervise_heartbeats (
      id bigint generated always as identity primary key,
      agent_name varchar(255) not null,
      timestamp timestamptz not null default now() check (isfinite(timestamp)),
      last_error text check (length(last_error) <= 8192),
      status varchar(50) not null default 'healthy',
      metadata jsonb not null default '{}' check (length(metadata::text) <= 65536),
      created_at timestamptz not null default now()
    );
    create index supervise_heartbeats_by_agent on public.supervise_heartbeats (agent_name, timestamp desc);
    create view public.trading_agent_heartbeats with (security_invoker = true) as
      select b.id, b.agent_name, b.timestamp, b.last_error, b.status, b.metadata, b.created_at
      from public.supervise_heartbeats b
      union all
      select -(hashtextextended(s.host || ' ' || s.name || ' ' || s.at, 0) & 9007199254740991), a.agent_name::varchar(255),
             s.at, s.last_error, case when s.status in ('running', 'starting') then 'healthy'
                                      when s.status = 'error' then 'error' else 'warning' end,
             jsonb_build_object('host', s.host, 'reason', s.reason, 'message', s.message, 'health', s.health), s.at
      from public.agent_samples s join public.agent_status a on a.host = s.host and a.name = s.name
      union all
      select -a.id, a.agent_name::varchar(255), coalesce(a.last_heartbeat, a.updated_at), a.last_error,
             case when a.status in ('running', 'starting') then 'healthy' when a.status = 'error' then 'error' else 'warning' end,
             jsonb_build_object('host', a.host, 'reason', a.reason, 'message', a.message, 'health', a.health), a.updated_at
      from public.agent_status a;
    create trigger supervise_beats instead of insert or update or delete on public.trading_agent_heartbeats
      for each row execute function supervise.heartbeats_instead_of();
    here := 'public.supervise_heartbeats';
    revoke all on public.trading_agent_heartbeats from public, anon, authenticated;
    grant select on public.trading_agent_heartbeats to authenticated, service_role, supervise_host;
    grant insert on public.trading_agent_heartbeats to service_role, supervise_host;
    grant insert (agent_name, timestamp, last_error, status, metadata) on public.supervise_heartbeats to supervise_host;
  else
    for one in select p.polname from pg_catalog.pg_policy p where p.polrelid = here loop
      raise warning 'policy "%" of % was dropped: who may read is a matter of supervise_members now', one, here;
      execute format('drop policy %I on %s', one, here);
    end loop;
    if has_table_privilege('anon', here, 'insert') and not (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = here) then
      raise warning '% was open to everybody: writers that use the anon key need the secret key from now on', here;
    end if;
    execute format('grant insert on %s to supervise_host', here);
  end if;
  execute format('alter table %s enable row level security', here);
  execute format('revoke all on %s from public, anon, authenticated', here);
  execute format('grant all on %s to service_role', here);
  execute format('grant select on %s to authenticated, supervise_host', here);
  execute format('create policy supervise_members_read on %s for select to authenticated using (%s)', here, member);
  execute format('create policy supervise_host_reads on %s for select to supervise_host
    using (supervise.is_own_agent(agent_name))', here);
  execute format('create policy supervise_host_inserts on %s for insert to supervise_host
    with check (supervise.is_own_agent(agent_name))', here);
end $$;

-- Tables that were made by hand number their rows by a sequence that whoever inserts must be allowed to use.
do $$
declare
  one text;
begin
  for one in
    select pg_get_serial_sequence('public.' || made.tab, 'id') from (values ('agent_status'), ('trading_agent_heartbeats')) made (tab)
    join pg_catalog.pg_attribute a on a.attrelid = to_regclass('public.' || made.tab) and a.attname = 'id'
    join pg_catalog.pg_class c on c.oid = a.attrelid and c.relkind = 'r'
  loop
    if one is not null then
      execute format('revoke all on sequence %s from public, anon, authenticated', one);
      execute format('grant usage on sequence %s to service_role, supervise_host', one);
    end if;
  end loop;
end $$;

do $$
declare
  one record;
begin
  for one in
    with recursive seen (id) as (
      select seed.id::oid from (values (to_regclass('public.agent_status')), (to_regclass('public.trading_agent_heartbeats'))) seed (id)
      where seed.id is not null
      union
      select r.ev_class from seen
      join pg_catalog.pg_depend d on d.refobjid = seen.id and d.classid = 'pg_rewrite'::regclass
      join pg_catalog.pg_rewrite r on r.oid = d.objid
    )
    select v.oid::regclass as name, v.relkind as kind from seen join pg_catalog.pg_class v on v.oid = seen.id
    where v.relkind = 'm' or v.relkind = 'v' and not coalesce(v.reloptions @> array['security_invoker=true'], false)
  loop
    if one.kind = 'm' then -- it knows no rows that are somebody's
      raise warning 'materialized view % shows nothing without the secret key from now on', one.name;
      execute format('revoke all on %s from public, anon, authenticated', one.name);
    else
      raise warning 'view % shows everybody only what they may see by themselves now', one.name;
      execute format('alter view %s set (security_invoker = true)', one.name);
      execute format('revoke all on %s from public, anon', one.name);
    end if;
  end loop;
end $$;

notify pgrst, 'reload schema';
