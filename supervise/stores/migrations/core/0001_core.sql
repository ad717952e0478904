-- What is said of agents, and what happened to them. Runs unchanged on SQLite and on PostgreSQL.
-- Times are ISO-8601 in UTC with microseconds, written by the client: SQLite keeps and orders them as text.
-- The words of a column are spelt out with `or`: SQLite makes a table of every list after `in`, for every row it writes.
-- `agent_status` may be there: one that was made by hand is given its columns before (compat/0000_by_hand.sql).
-- There is no index on what changes with every pass (status, health, last_heartbeat): it would make each update dear.

create table if not exists agent_status (
  host text not null check (length(host) <= 255),
  name text not null check (length(name) between 1 and 80),
  agent_name text not null unique check (length(agent_name) between 1 and 500),
  project text not null check (length(project) <= 255),
  unit text not null check (length(unit) <= 255),
  platform text not null check (length(platform) <= 32),
  phase text check (phase = 'absent' or phase = 'inactive' or phase = 'queued' or phase = 'starting' or phase = 'active'
      or phase = 'stopping' or phase = 'restarting' or phase = 'failed'),
  status text not null default 'unknown'
    check (status = 'running' or status = 'warning' or status = 'error' or status = 'stopped' or status = 'starting'
      or status = 'stopping' or status = 'unknown'),
  reason text not null check (length(reason) <= 64),
  message text not null default '' check (length(message) <= 8192),
  since timestamptz not null,
  observed_status text not null default 'unknown'
    check (observed_status = 'running' or observed_status = 'warning' or observed_status = 'error'
      or observed_status = 'stopped' or observed_status = 'starting' or observed_status = 'stopping'
      or observed_status = 'unknown'),
  observed_reason text not null check (length(observed_reason) <= 64),
  health integer not null default 0 check (health between 0 and 100),
  health_parts text not null default '[]' check (length(health_parts) <= 65536),
  pid bigint,
  incarnation text check (length(incarnation) <= 255),
  boot text check (length(boot) <= 64),
  started_at timestamptz,
  restarts bigint not null default 0,
  last_heartbeat timestamptz,
  source text check (source = 'beat' or source = 'ping' or source = 'observed'),
  last_error text check (length(last_error) <= 8192),
  last_activity text check (length(last_activity) <= 8192),
  next_try timestamptz,
  lock_status text
    check (lock_status = 'running' or lock_status = 'warning' or lock_status = 'error' or lock_status = 'stopped'
      or lock_status = 'starting' or lock_status = 'stopping' or lock_status = 'unknown'),
  lock_health integer check (lock_health between 0 and 100),
  lock_reason text check (length(lock_reason) <= 8192),
  lock_by text check (length(lock_by) <= 255),
  lock_until timestamptz,
  outdated boolean not null default false,
  outdated_by text not null default '[]' check (length(outdated_by) <= 65536),
  cpu double precision,
  memory bigint,
  tasks bigint,
  revision text check (length(revision) <= 255),
  epoch bigint not null default 0,
  seq bigint not null default 0,
  updated_at timestamptz not null,
  primary key (host, name)
);

create table agent_events (
  id text primary key check (length(id) between 1 and 128),
  host text not null check (length(host) <= 255),
  name text not null check (length(name) <= 80),
  at timestamptz not null,
  kind text not null check (length(kind) <= 32),
  before text check (before = 'running' or before = 'warning' or before = 'error' or before = 'stopped' or before = 'starting'
      or before = 'stopping' or before = 'unknown'),
  after text check (after = 'running' or after = 'warning' or after = 'error' or after = 'stopped' or after = 'starting'
      or after = 'stopping' or after = 'unknown'),
  reason text not null check (length(reason) <= 8192),
  message text not null check (length(message) <= 8192),
  by text not null check (length(by) <= 255)
);
create index agent_events_by_name on agent_events (host, name, at);
create index agent_events_by_time on agent_events (host, at);

create table agent_samples (
  host text not null check (length(host) <= 255),
  name text not null check (length(name) between 1 and 80),
  at timestamptz not null,
  phase text check (phase = 'absent' or phase = 'inactive' or phase = 'queued' or phase = 'starting' or phase = 'active'
      or phase = 'stopping' or phase = 'restarting' or phase = 'failed'),
  status text not null
    check (status = 'running' or status = 'warning' or status = 'error' or status = 'stopped' or status = 'starting'
      or status = 'stopping' or status = 'unknown'),
  reason text not null check (length(reason) <= 64),
  message text not null default '' check (length(message) <= 8192),
  since timestamptz not null,
  observed_status text not null
    check (observed_status = 'running' or observed_status = 'warning' or observed_status = 'error'
      or observed_status = 'stopped' or observed_status = 'starting' or observed_status = 'stopping'
      or observed_status = 'unknown'),
  observed_reason text not null check (length(observed_reason) <= 64),
  health integer not null check (health between 0 and 100),
  health_parts text not null default '[]' check (length(health_parts) <= 65536),
  pid bigint,
  restarts bigint not null default 0,
  last_heartbeat timestamptz,
  last_error text check (length(last_error) <= 8192),
  cpu double precision,
  memory bigint,
  tasks bigint,
  revision text check (length(revision) <= 255),
  primary key (host, name, at)
);

-- What a person last wanted of an agent. `monotonic`: microseconds on the clock of `boot`.
create table agent_intents (
  host text not null check (length(host) <= 255),
  name text not null check (length(name) between 1 and 80),
  kind text not null check (kind = 'start' or kind = 'stop'),
  by text not null check (length(by) <= 255),
  at timestamptz not null,
  boot text not null check (length(boot) <= 64),
  monotonic bigint not null,
  reason text not null default '' check (length(reason) <= 8192),
  primary key (host, name)
);

create table agent_settings (
  host text not null check (length(host) <= 255),
  name text not null check (length(name) between 1 and 80),
  key text not null check (length(key) between 1 and 128),
  value text not null check (length(value) <= 65536),
  by text not null default '' check (length(by) <= 255),
  updated_at timestamptz not null,
  primary key (host, name, key)
);

create table host_status (
  host text primary key check (length(host) <= 255),
  platform text not null default '' check (length(platform) <= 32),
  version text not null default '' check (length(version) <= 64),
  boot text check (length(boot) <= 64),
  started_at timestamptz,
  agents integer not null default 0,
  message text not null default '' check (length(message) <= 8192),
  epoch bigint not null default 0,
  seq bigint not null default 0,
  updated_at timestamptz not null
);
