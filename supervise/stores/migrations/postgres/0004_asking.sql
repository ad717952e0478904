-- Who is asking, and as which host.

create function supervise.claims() returns jsonb
language sql stable set search_path = '' as $$
  select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}')
$$;

-- The role that was taken on, which a `security definer` function does not change.
create function supervise.asking_role() returns text
language sql stable set search_path = '' as $$
  select coalesce(nullif(current_setting('role', true), 'none'), session_user)
$$;

-- The name of whoever is asking: a user who came by telephone has an email, which is empty.
create function supervise.asker() returns text
language sql stable set search_path = '' as $$
  select left(coalesce(nullif(supervise.claims() ->> 'email', ''), supervise.claims() ->> 'sub', supervise.asking_role()), 255)
$$;

-- The host of the key with which is asked; null where that was revoked, has expired or was never given.
create function supervise.key_host() returns text
language sql stable security definer set search_path = '' as $$
  select k.host from public.supervise_host_keys k
  where k.kid = supervise.claims() ->> 'kid' and k.host = supervise.claims() ->> 'host'
    and k.revoked_at is null and k.expires_at > now()
$$;

create function supervise.host_of(asked text) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  own text;
begin
  if supervise.asking_role() <> 'supervise_host' then
    if coalesce(asked, '') = '' then
      raise exception 'host is missing' using errcode = '22023';
    end if;
    return asked;
  end if;
  own := supervise.key_host();
  if own is null then
    raise exception 'this host key was revoked or has expired' using errcode = '42501';
  end if;
  if asked is distinct from own then
    raise exception 'this key is that of host %', own using errcode = '42501';
  end if;
  return own;
end $$;

-- Requests are lists of objects, and not endless.
create function supervise.refuse_no_list(given jsonb) returns void
language plpgsql immutable set search_path = '' as $$
begin
  if given is null or jsonb_typeof(given) <> 'array' then
    raise exception 'rows must be a list' using errcode = '22023';
  end if;
  if jsonb_array_length(given) > 5000 then
    raise exception 'more than 5000 rows at once' using errcode = '22023';
  end if;
end $$;
