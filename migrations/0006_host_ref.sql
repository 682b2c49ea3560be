-- Where a machine is on its host, in the host's own terms; null while it has no place there. Machines made before this get theirs
-- when their host has been asked whether what lies there is theirs.
alter table machines add column host_ref text;
create unique index machines_host_ref on machines (host_id, host_ref) where host_ref is not null;
