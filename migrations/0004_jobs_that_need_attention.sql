-- Why undoing a job has stopped. Such a job is still being undone, and holds its machine, but nobody works on it until a person
-- has it tried again or gives it up.
alter table jobs add column stuck text;

-- A build that is cancelled or being undone must not keep others from beginning the same one.
drop index jobs_one_open_per_build;
create unique index jobs_one_open_per_build on jobs (build_key)
    where state in ('queued', 'running') and cancel = 0 and build_key is not null;
