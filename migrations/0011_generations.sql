-- What a machine boots is one of its generations: a boot disk on an image. An upgrade makes another one beside it, and the
-- former ones stay for a while, so that the machine can go back.

create table generations (
    machine_id text    not null references machines (id) on delete cascade,
    number     integer not null check (number > 0),
    image_id   text    not null references images (id),
    -- Its boot disk; none until it is complete.
    boot       text,
    made       integer not null,
    made_by    text    not null,
    primary key (machine_id, number)
) strict, without rowid;
create index generations_image on generations (image_id);

-- The current one, while the machine has disks: `image_id` and `boot` are those of this generation.
alter table machines add column generation integer;

update machines set generation = 1 where image_id is not null;
insert into generations (machine_id, number, image_id, boot, made, made_by)
    select m.id, 1, m.image_id, m.boot, m.created, u.name from machines m join users u on u.id = m.owner_id
    where m.image_id is not null;
