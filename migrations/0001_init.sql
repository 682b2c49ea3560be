-- The state of the portal. Ids are UUIDv7 as text, times are milliseconds since 1970-01-01T00:00:00Z,
-- enumerations are their words, and what has a shape of its own is JSON. Constraints decide, not queries before them:
-- their names and columns are known to server/engine/src/db/constraint.rs.

create table users (
    id         text    not null primary key,
    name       text    not null unique,
    role       text    not null check (role in ('member', 'administrator')),
    password   text    not null,
    disabled   integer not null default 0 check (disabled in (0, 1)),
    created    integer not null,
    last_login integer
) strict;

-- The last enabled administrator stays one, whoever asks and however many ask at once.
create trigger users_keep_administrator_update before update of role, disabled on users
when old.role = 'administrator' and old.disabled = 0 and (new.role <> 'administrator' or new.disabled = 1)
    and (select count(*) from users where role = 'administrator' and disabled = 0) = 1
begin
    select raise(abort, 'constraint last_administrator');
end;

create trigger users_keep_administrator_delete before delete on users
when old.role = 'administrator' and old.disabled = 0
    and (select count(*) from users where role = 'administrator' and disabled = 0) = 1
begin
    select raise(abort, 'constraint last_administrator');
end;

create table sessions (
    -- SHA-256 of the token: whoever reads the database cannot log in with it.
    token_hash text    not null primary key,
    handle     text    not null unique,
    user_id    text    not null references users (id) on delete cascade,
    began      integer not null,
    used       integer not null,
    from_addr  text,
    agent      text
) strict;
create index sessions_user on sessions (user_id);

create table hosts (
    id     text    not null primary key,
    name   text    not null unique,
    kind   text    not null,
    target text    not null,
    added  integer not null
) strict;

create table images (
    id           text    not null primary key,
    profiles     text    not null,
    mode         text    not null,
    source       text    not null,
    store_path   text    not null,
    drv_path     text,
    size         integer not null,
    closure_size integer,
    lock         text,
    built        integer not null,
    built_by     text,
    job_id       text,
    -- Whether the garbage-collector root stands.
    rooted       integer not null default 0 check (rooted in (0, 1)),
    unique (profiles, mode, source)
) strict;

create table machines (
    id         text    not null primary key,
    name       text    not null unique,
    owner_id   text    not null references users (id),
    host_id    text    not null references hosts (id),
    -- The whole specification; profiles and mode are drawn out of it for queries.
    spec       text    not null,
    profiles   text    not null,
    mode       text    not null,
    uuid       text    not null unique,
    mac        text    not null unique,
    machine_id text    not null,
    -- Set while there are disks.
    image_id   text    references images (id),
    boot       text,
    data       text,
    created    integer not null
) strict;
create index machines_owner on machines (owner_id);
create index machines_image on machines (image_id);

create table jobs (
    id         text    not null primary key,
    kind       text    not null,
    title      text    not null,
    operation  text    not null,
    -- The name, not the row: a job outlives its machine, and a create comes before one.
    machine    text,
    actor_id   text    not null references users (id),
    actor      text    not null,
    -- Who owned the machine when the job was accepted; owners see what is done to their machines.
    owner_id   text    references users (id),
    state      text    not null check (state in ('queued', 'running', 'undoing', 'succeeded', 'failed', 'cancelled')),
    cancel     integer not null default 0 check (cancel in (0, 1)),
    work       text    not null,
    failure    text,
    -- Names what an open build builds, so that a second request for it finds the first.
    build_key  text,
    audit_seq  integer not null,
    created    integer not null,
    began      integer,
    ended      integer
) strict;
-- One job at a time works on a machine, and one builds an image.
create unique index jobs_one_open_per_machine on jobs (machine)
    where state in ('queued', 'running', 'undoing') and machine is not null;
create unique index jobs_one_open_per_build on jobs (build_key)
    where state in ('queued', 'running', 'undoing') and build_key is not null;
create index jobs_open on jobs (created) where state in ('queued', 'running', 'undoing');
create index jobs_machine on jobs (machine, id);
create index jobs_actor on jobs (actor_id, id);

-- Others who asked for the same build; they see the job as well.
create table job_askers (
    job_id  text not null references jobs (id) on delete cascade,
    user_id text not null references users (id) on delete cascade,
    primary key (job_id, user_id)
) strict, without rowid;

create table job_steps (
    job_id text    not null references jobs (id) on delete cascade,
    idx    integer not null,
    name   text    not null,
    what   text    not null,
    -- What becomes of it when the job does not succeed.
    after  text    not null check (after in ('nothing', 'undo', 'forward')),
    state  text    not null check (state in ('pending', 'running', 'done', 'failed', 'undone')),
    began  integer,
    ended  integer,
    primary key (job_id, idx)
) strict, without rowid;

-- Who did what. A row is written when an act begins and completed once when its outcome is known. Both writings are links of
-- one hash chain: link n is SHA-256 over link n-1 and what was written.
create table audit (
    seq        integer not null primary key,
    began      integer not null,
    actor_id   text,
    actor      text,
    from_addr  text,
    action     text    not null,
    subject    text,
    job_id     text,
    request    text    not null,
    begin_link integer not null unique,
    begin_hash text    not null,
    ended      integer,
    outcome    text    check (outcome in ('succeeded', 'failed', 'cancelled', 'denied')),
    detail     text,
    end_link   integer unique,
    end_hash   text,
    check ((end_link is null) = (outcome is null) and (end_link is null) = (ended is null)
        and (end_link is null) = (end_hash is null))
) strict;
create index audit_actor on audit (actor);
create index audit_subject on audit (subject);

create trigger audit_keep_rows before delete on audit
begin
    select raise(abort, 'constraint audit_append_only');
end;

create trigger audit_complete_once before update on audit
when old.end_link is not null
    or new.seq is not old.seq or new.began is not old.began or new.actor_id is not old.actor_id
    or new.actor is not old.actor or new.from_addr is not old.from_addr or new.action is not old.action
    or new.subject is not old.subject or new.job_id is not old.job_id or new.request is not old.request
    or new.begin_link is not old.begin_link or new.begin_hash is not old.begin_hash
begin
    select raise(abort, 'constraint audit_append_only');
end;

-- Single values of the portal itself: `audit.head` is the newest link of the chain, as `number hash`.
create table settings (
    key   text not null primary key,
    value text not null
) strict, without rowid;
