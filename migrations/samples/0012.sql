-- “web” was copied.
insert into jobs (id, kind, title, operation, machine, machine_id, source_id, actor_id, actor, owner_id, state, work, audit_seq, created, began, ended)
select '01900000-0000-7000-8000-000000000001', 'clone', 'Clone web to db',
    '{"operation":"clone","machine":"web","name":"db","memory":512,"vcpus":1,"disk":2,"network":"nat","profiles":["core"]}',
    'db', '01900000-0000-7000-8000-000000000013', id, owner_id, 'bob', owner_id, 'succeeded', '{}', 1, 30, 31, 32
from machines where name = 'web';
