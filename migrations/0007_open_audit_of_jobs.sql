-- The audit entries that end with a job: of who asked for it, and of those who joined it.
create index audit_open_of_job on audit (job_id) where end_link is null;
