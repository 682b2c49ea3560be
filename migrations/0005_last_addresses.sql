-- The addresses that a machine last had, so that its page still has them after a restart of the portal, until the host is asked.

create table machine_addresses (
    machine_id text not null primary key references machines (id) on delete cascade,
    -- The IP addresses, best first, as JSON.
    addresses  text not null
) strict, without rowid;
