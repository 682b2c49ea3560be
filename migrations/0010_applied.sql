-- The configuration that is true on the host, for machines that have disks. `spec` is what it is to be: what differs is
-- pending. Secrets are in both, and go with the row.
alter table machines add column applied text;

update machines set applied = spec where image_id is not null;
