-- Agents that a host has no more: what is said of them goes, what happened to them stays. A row that somebody else's table
-- or trigger holds there cannot go: it is nobody's from then on, or stays its host's, and shows nothing that was known before.

-- Under a name that none of nobody's rows has yet.
create function supervise.disown(host text, name text, message text) returns void
language sql security definer set search_path = '' as $$
  update public.agent_status s set
    host = '', epoch = 0, seq = 0, status = 'unknown', health = 0, reason = 'Disowned', message = disown.message,
    since = now(), updated_at = now(),
    name = case when exists (select from public.agent_status other where other.host = '' and other.name = s.name)
      then left(s.name, 47) || '_' || md5(s.agent_name) else s.name end
    where s.host = disown.host and s.name = disown.name
$$;

-- The best way that is open: others' references and triggers may close each. One that holds a row as it is holds up no other.
create function supervise.remove(host text, name text) returns void
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  way text;
begin
  foreach way in array array['delete', 'disown', 'mark'] loop
    begin
      case way
        when 'delete' then
          delete from public.agent_status s where s.host = remove.host and s.name = remove.name;
        when 'disown' then
          perform supervise.disown(remove.host, remove.name, 'Its host has it no more, but others hold this row.');
        else -- epoch 0: no host takes it for somebody else's doing
          update public.agent_status s set
            epoch = 0, seq = 0, status = 'unknown', health = 0, reason = 'Removed', message = 'Its host has it no more.',
            since = now(), updated_at = now()
            where s.host = remove.host and s.name = remove.name and s.reason <> 'Removed';
      end case;
    exception
      when transaction_rollback or insufficient_resources or lock_not_available then
        raise; -- another time it may go
      when others then
        raise warning 'cannot % the row of "%" of host "%": %', way, remove.name, remove.host, sqlerrm;
    end;
    exit when not exists (select from public.agent_status s where s.host = remove.host and s.name = remove.name);
  end loop;
end $$;

create function public.retain_agents(host text, epoch bigint, names jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  h constant text := supervise.host_of(retain_agents.host);
  gone bigint := 0;
  one text;
begin
  perform supervise.refuse_no_list(names);
  if supervise.seen(h, retain_agents.epoch) is distinct from retain_agents.epoch then
    return jsonb_build_object('gone', 0);
  end if;
  set constraints all immediate; -- else a reference is missed only as all is done
  for one in
    select s.name from public.agent_status s
    where s.host = h and not exists (select from jsonb_array_elements_text(names) as kept (name) where kept.name = s.name)
  loop
    perform supervise.remove(h, one);
    gone := gone + 1;
  end loop;
  return jsonb_build_object('gone', gone);
end $$;

-- An agent that its host calls otherwise now: its row, and so many at a time of what happened to it, are under that name.
-- To be called again while there is `more`; nothing is done where `known` is false, as this session is not the newest.
create function public.rename_agent(host text, epoch bigint, was text, name text, most int default 5000) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  h constant text := supervise.host_of(rename_agent.host);
  events bigint;
  samples bigint;
begin
  if supervise.seen(h, rename_agent.epoch) is distinct from rename_agent.epoch then
    return jsonb_build_object('known', false, 'more', false);
  end if;
  set constraints all immediate;
  if exists (select from public.agent_status s where s.host = h and s.name = was) then
    begin
      perform supervise.remove(h, rename_agent.name);
      update public.agent_status s set name = rename_agent.name, epoch = 0, seq = 0 where s.host = h and s.name = was;
    exception
      when transaction_rollback or insufficient_resources or lock_not_available then
        raise;
      when others then -- others hold it: it goes as that of any agent that is no more
        raise warning 'cannot rename the row of "%" of host "%": %', was, h, sqlerrm;
    end;
  end if;
  update public.supervise_commands c set name = rename_agent.name where c.host = h and c.name = was;
  update public.agent_events set name = rename_agent.name where id in (
    select e.id from public.agent_events e where e.host = h and e.name = was limit most);
  get diagnostics events = row_count;
  update public.agent_samples set name = rename_agent.name where ctid = any (array(
    select s.ctid from public.agent_samples s
    where s.host = h and s.name = was and not exists ( -- what has arrived under both names stays
      select from public.agent_samples other where other.host = h and other.name = rename_agent.name and other.at = s.at)
    limit most));
  get diagnostics samples = row_count;
  return jsonb_build_object('known', true, 'more', greatest(events, samples) >= most);
end $$;

revoke all on function supervise.disown, supervise.remove, public.retain_agents, public.rename_agent from public, anon, authenticated;
grant execute on function public.retain_agents, public.rename_agent to service_role, supervise_host;
notify pgrst, 'reload schema';
