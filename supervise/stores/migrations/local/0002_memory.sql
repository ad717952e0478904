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

-- What a replica has not acknowledged yet; it names the row, event or sample and holds no copy of it.
create table outbox (
  id bigint primary key,
  host text not null check (length(host) <= 255),
  kind text not null check (kind = 'row' or kind = 'event' or kind = 'sample'),
  name text not null check (length(name) <= 80),
  at timestamptz not null,
  event text check (length(event) between 1 and 128)
);
create index outbox_by_name on outbox (host, name, kind);
-- Rows are few, and events may wait by the million: neither is looked for among the other.
create index outbox_in_order on outbox (host, kind, id);

-- What could not be sent and never will be, and why.
create table dead_letters (
  id bigint primary key,
  host text not null check (length(host) <= 255),
  kind text not null check (kind = 'row' or kind = 'event' or kind = 'sample'),
  name text not null check (length(name) <= 80),
  at timestamptz not null,
  event text check (length(event) between 1 and 128),
  error text not null check (length(error) <= 8192)
);

-- Names that agents had, until a replica has heard of it.
create table renames (
  id integer primary key,
  host text not null check (length(host) <= 255),
  was text not null,
  name text not null check (length(name) between 1 and 80)
);

create table meta (
  key text primary key check (length(key) between 1 and 128),
  value text not null check (length(value) <= 65536)
);
