update machines set host_ref = uuid where name = 'web';
