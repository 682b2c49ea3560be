-- A machine can get another name. What is about it follows the machine by its id.

-- Names that machines had before: whoever looks there is led to the machine, unless another one has the name now.
create table former_names (
    name       text    not null,
    machine_id text    not null references machines (id) on delete cascade,
    -- When the machine got another one.
    until      integer not null,
    primary key (name, machine_id)
) strict, without rowid;
create index former_names_machine on former_names (machine_id);

-- The machine that a job is about, without a reference because a job outlives its machine. The column `machine` keeps the name
-- that it had when the job was accepted, and while the job is open nobody else gets that name.
alter table jobs add column machine_id text;
update jobs set machine_id = json_extract(work, '$.machine') where json_valid(work);
create unique index jobs_one_open_per_machine_id on jobs (machine_id)
    where state in ('queued', 'running', 'undoing') and machine_id is not null;
create index jobs_machine_id on jobs (machine_id, id);
