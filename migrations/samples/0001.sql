-- Sample data for the migration test: what a portal of this version may hold.
insert into users (id, name, role, password, created) values
    ('01900000-0000-7000-8000-000000000001', 'ada', 'administrator', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA', 1),
    ('01900000-0000-7000-8000-000000000002', 'bob', 'member', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA', 2);
insert into sessions (token_hash, handle, user_id, began, used, from_addr) values
    ('00', 'h1', '01900000-0000-7000-8000-000000000002', 3, 3, '192.0.2.1');
insert into hosts (id, name, kind, target, added) values
    ('01900000-0000-7000-8000-000000000003', 'local', 'memory', 'memory:///', 1);
insert into images (id, profiles, mode, source, store_path, size, built, built_by, rooted) values
    ('01900000-0000-7000-8000-000000000004', 'core,docker', 'immutable', 's1', '/nix/store/x-image', 1024, 4, 'bob', 1);
insert into machines (id, name, owner_id, host_id, spec, profiles, mode, uuid, mac, machine_id, image_id, boot, data, created)
values (
    '01900000-0000-7000-8000-000000000005', 'web', '01900000-0000-7000-8000-000000000002',
    '01900000-0000-7000-8000-000000000003',
    '{"name":"web","host":"local","profiles":["core","docker"],"mode":"immutable","memory":512,"vcpus":1,"disk":2,'
        || '"network":"nat","identity":{"admin_keys":[],"tcp_ports":["22"]}}',
    'core,docker', 'immutable', '3b241101-e2bb-4255-8caf-4136c566a962', '52:54:00:01:02:03',
    '0123456789abcdef0123456789abcdef', '01900000-0000-7000-8000-000000000004', 'web/boot', 'web/data', 5);
insert into jobs (id, kind, title, operation, machine, actor_id, actor, owner_id, state, work, audit_seq, created, began, ended)
values (
    '01900000-0000-7000-8000-000000000006', 'start', 'Start web', '{"operation":"start","machine":"web"}', 'web',
    '01900000-0000-7000-8000-000000000002', 'bob', '01900000-0000-7000-8000-000000000002', 'succeeded', '{}', 1, 6, 7, 8);
insert into job_steps (job_id, idx, name, what, after, state, began, ended) values
    ('01900000-0000-7000-8000-000000000006', 0, 'power.start', 'Start it', 'nothing', 'done', 7, 8);
