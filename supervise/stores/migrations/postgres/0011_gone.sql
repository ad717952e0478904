-- Agents that a host has no more: what is said of them goes, what happened to them stays.

create function public.retain_agents(host text, epoch bigint, names jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  h constant text := supervise.host_of(retain_agents.host);
  gone bigint;
begin
  perform supervise.refuse_no_list(names);
  if supervise.seen(h, retain_agents.epoch) is distinct from retain_agents.epoch then
    return jsonb_build_object('gone', 0);
  end if;
  delete from public.agent_status s
    where s.host = h and not exists (select from jsonb_array_elements_text(names) as kept (name) where kept.name = s.name);
  get diagnostics gone = row_count;
  return jsonb_build_object('gone', gone);
end $$;

revoke all on function public.retain_agents from public, anon, authenticated;
grant execute on function public.retain_agents to service_role, supervise_host;
notify pgrst, 'reload schema';
