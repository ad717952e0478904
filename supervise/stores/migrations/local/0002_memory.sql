-- What only the reconciler of this host needs to go on where it was. No replica has these tables.

create table agent_memory (
  host text not null check (length(host) <= 255),
  name text not null check (length(name) between 1 and 80),
  past text not null,
  primary key (host, name)
);

create table notes (
  key text primary key check (length(key) >= 1),
  value text not null
);
