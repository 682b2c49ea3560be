-- A change that waits for a restart.
update machines set applied = replace(spec, '"memory":512', '"memory":256') where image_id is not null;
