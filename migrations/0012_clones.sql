-- A machine that is copied is held by the jobs that copy it, any number of them; the machine that each of these makes is its
-- own, in `machine_id`. No reference: a job outlives its machines.
alter table jobs add column source_id text;
create index jobs_open_on_source on jobs (source_id)
    where state in ('queued', 'running', 'undoing') and source_id is not null;

-- Nothing is begun on a machine while it is copied, and it is not copied while something is done to it.
create trigger jobs_on_source before insert on jobs
when exists (
        select 1 from jobs where source_id = new.machine_id and state in ('queued', 'running', 'undoing')
    )
    or exists (
        select 1 from jobs where machine_id = new.source_id and state in ('queued', 'running', 'undoing')
    )
begin
    select raise(abort, 'constraint one_job_per_machine');
end;
