-- A finished job whose password is gone, and a build that two people asked for.
insert into jobs (id, kind, title, operation, machine, actor_id, actor, owner_id, state, secrets, work, audit_seq, created, began, ended)
values (
    '01900000-0000-7000-8000-000000000008', 'configure', 'Save db',
    '{"operation":"configure","spec":{"name":"db","host":"local","profiles":["core"],"mode":"immutable","memory":512,"vcpus":1,'
        || '"disk":2,"network":"nat","identity":{}}}',
    'db', '01900000-0000-7000-8000-000000000001', 'ada', '01900000-0000-7000-8000-000000000001', 'failed', 'removed', '{}', 3,
    12, 13, 14);
insert into jobs (id, kind, title, operation, actor_id, actor, state, secrets, work, audit_seq, created, began, ended)
values (
    '01900000-0000-7000-8000-000000000009', 'build', 'Build image core (immutable)',
    '{"operation":"build","profiles":["core"],"mode":"immutable"}', '01900000-0000-7000-8000-000000000001', 'ada',
    'succeeded', 'none', '{}', 4, 15, 16, 17);
insert into job_askers (job_id, user_id) values
    ('01900000-0000-7000-8000-000000000009', '01900000-0000-7000-8000-000000000002');
