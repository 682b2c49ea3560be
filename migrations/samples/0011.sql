-- A machine that was upgraded once.
insert into generations (machine_id, number, image_id, boot, made, made_by)
    select id, 2, image_id, '/state/machines/web/boot-2.qcow2', 1767225700000, 'ada' from machines where image_id is not null;
update machines set generation = 2, boot = '/state/machines/web/boot-2.qcow2' where image_id is not null;
