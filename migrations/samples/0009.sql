-- The machine “web” was called “www” at first.
insert into former_names (name, machine_id, until)
select 'www', id, 20 from machines where name = 'web';
