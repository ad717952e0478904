-- Agents that a host has no more: what is said of them goes, what happened to them stays. A row to which somebody else's
-- table refers cannot go: it is nobody's from then on, and shows nothing that was known before.

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
    begin
      delete from public.agent_status s where s.host = h and s.name = one;
    exception when foreign_key_violation then
      perform supervise.disown(h, one, 'Its host has it no more, but another table refers to this row.');
    end;
    gone := gone + 1;
  end loop;
  return jsonb_build_object('gone', gone);
end $$;

revoke all on function supervise.disown, public.retain_agents from public, anon, authenticated;
grant execute on function public.retain_agents to service_role, supervise_host;
notify pgrst, 'reload schema';
