insert into machine_addresses (machine_id, addresses)
values ('01900000-0000-7000-8000-000000000005', '["192.168.122.20","fe80::5054:ff:fe12:3456"]');
