-- Kept of each build and never read by anybody: the command that reproduces a build needs neither, and what a build was made
-- from is fixed by its source.
alter table images drop column drv_path;
alter table images drop column lock;
