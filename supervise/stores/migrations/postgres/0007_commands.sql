-- What members ask of hosts: start, stop, restart; nothing else, not for long, and never under another name.

create function supervise.supervise_commands_before_insert() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.actor := supervise.asker();
  new.state := 'queued';
  new.requested_at := now();
  new.expires_at := now() + interval '5 minutes';
  return new;
end $$;
create trigger supervise_insert before insert on public.supervise_commands
  for each row execute function supervise.supervise_commands_before_insert();

-- Asked only once it is known who may ask: the answers tell which agents there are.
create function supervise.supervise_commands_after_insert() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if not exists (select from public.agent_status s where s.host = new.host and s.name = new.name) then
    raise exception 'host % has no agent %', new.host, new.name using errcode = '23503';
  end if;
  if (select count(*) from public.supervise_commands c
      where c.host = new.host and c.state = 'queued' and c.expires_at > now()) > 100 then
    raise exception 'a hundred commands wait for host % already', new.host using errcode = '23514';
  end if;
  return null;
end $$;
create trigger supervise_check after insert on public.supervise_commands
  for each row execute function supervise.supervise_commands_after_insert();

create function public.request_command(host text, name text, kind text) returns jsonb
language sql set search_path = '' as $$
  insert into public.supervise_commands (host, name, kind)
  values (request_command.host, request_command.name, request_command.kind)
  returning jsonb_build_object('id', id)
$$;

-- What no host has taken in time, and what one took and said nothing of for an hour: it may have died of it.
create function supervise.expire_commands() returns void
language sql security definer set search_path = '' as $$
  update public.supervise_commands c set state = 'expired', finished_at = now(),
    detail = case c.state when 'queued' then 'its host did not take it in time'
             else 'its host took it and said nothing more' end
    where c.state = 'queued' and c.expires_at <= now()
      or c.state = 'claimed' and c.claimed_at <= now() - interval '1 hour'
$$;

create function public.claim_commands(host text, most int default 20) returns jsonb
language plpgsql set search_path = '' as $$
declare
  h constant text := supervise.host_of(claim_commands.host);
  claimed jsonb;
begin
  perform supervise.expire_commands();
  with taken as (
    update public.supervise_commands c set state = 'claimed', claimed_at = now()
    where c.id in (select w.id from public.supervise_commands w
                   where w.host = h and w.state = 'queued'
                   order by w.id limit greatest(0, least(most, 100)) for update skip locked)
    returning c.id, c.name, c.kind, c.actor, c.requested_at)
  select coalesce(jsonb_agg(to_jsonb(taken) order by taken.id), '[]') into claimed from taken;
  return claimed;
end $$;

create function public.finish_command(host text, id bigint, ok boolean, detail text default '') returns jsonb
language plpgsql set search_path = '' as $$
#variable_conflict use_column
declare
  h constant text := supervise.host_of(finish_command.host);
begin
  update public.supervise_commands c
    set state = case when finish_command.ok then 'done' else 'failed' end, finished_at = now(),
        detail = left(coalesce(finish_command.detail, ''), 8192)
    where c.host = h and c.id = finish_command.id and c.state = 'claimed';
  return jsonb_build_object('finished', found);
end $$;
