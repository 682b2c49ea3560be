-- A job that somebody cancelled while its image was being built.
insert into jobs (id, kind, title, operation, machine, actor_id, actor, owner_id, state, cancel, work, audit_seq, created, began, ended)
values (
    '01900000-0000-7000-8000-000000000007', 'provision', 'Create web from its configuration',
    '{"operation":"provision","machine":"web"}', 'web', '01900000-0000-7000-8000-000000000002', 'bob',
    '01900000-0000-7000-8000-000000000002', 'cancelled', 1, '{}', 2, 9, 10, 11);
insert into job_steps (job_id, idx, name, what, after, state, began, ended) values
    ('01900000-0000-7000-8000-000000000007', 0, 'image.build', 'Build the image', 'nothing', 'cancelled', 10, 11),
    ('01900000-0000-7000-8000-000000000007', 1, 'disks.create', 'Make the disks', 'undo', 'pending', null, null);
