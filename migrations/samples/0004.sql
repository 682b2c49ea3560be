-- A build that failed.
insert into jobs (id, kind, title, operation, machine, actor_id, actor, state, work, failure, build_key, audit_seq, created, began, ended)
values (
    '01900000-0000-7000-8000-0000000000f0', 'build', 'Build image core (immutable)',
    '{"operation":"build","profiles":"core","mode":"immutable"}', null, '01900000-0000-7000-8000-000000000002', 'bob', 'failed',
    '{}', '{"step":"image.build","message":"It failed.","build":null}', 'core immutable source', 3, 12, 13, 14);
