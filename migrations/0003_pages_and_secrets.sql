-- Pages of the audit log and of jobs start below a place and follow an index, whatever they are filtered by. A completion's
-- own index (unique) serves the log that is not filtered.
drop index audit_actor;
drop index audit_subject;
create index audit_actor on audit (actor, end_link);
create index audit_subject on audit (subject, end_link);
create index audit_action on audit (action, end_link);
create index audit_outcome on audit (outcome, end_link);

-- Ids of jobs are in the order of their creation.
drop index jobs_open;
create index jobs_open on jobs (id) where state in ('queued', 'running', 'undoing');
create index jobs_owner on jobs (owner_id, id);
create index job_askers_user on job_askers (user_id, job_id);

-- Whether the operation still has the secrets that it was accepted with: 'kept' while the job is open, then 'none' if it
-- never had any, or 'removed'. SQL does not know which those are, so the portal removes those of older jobs at its start.
alter table jobs add column secrets text not null default 'kept' check (secrets in ('kept', 'none', 'removed'));
create index jobs_secrets on jobs (id) where secrets = 'kept' and state in ('succeeded', 'failed', 'cancelled');

-- Written and never read: the specification has them.
alter table machines drop column profiles;
alter table machines drop column mode;
alter table hosts drop column added;
