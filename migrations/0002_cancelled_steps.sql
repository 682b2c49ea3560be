-- A step that was broken off because somebody cancelled its job has not failed. SQLite cannot change a check, so the table
-- is made anew; nothing refers to it.

create table new_job_steps (
    job_id text    not null references jobs (id) on delete cascade,
    idx    integer not null,
    name   text    not null,
    what   text    not null,
    -- What becomes of it when the job does not succeed.
    after  text    not null check (after in ('nothing', 'undo', 'forward')),
    state  text    not null check (state in ('pending', 'running', 'done', 'failed', 'cancelled', 'undone')),
    began  integer,
    ended  integer,
    primary key (job_id, idx)
) strict, without rowid;

insert into new_job_steps (job_id, idx, name, what, after, state, began, ended)
select job_id, idx, name, what, after, state, began, ended from job_steps;

drop table job_steps;
alter table new_job_steps rename to job_steps;
