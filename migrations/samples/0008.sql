-- An image whose closure Nix did not tell the size of, as it is written without the columns that are gone.
insert into images (id, profiles, mode, source, store_path, size, built, built_by, rooted)
values (
    '01900000-0000-7000-8000-000000000008', 'core', 'mutable', 'source', '/nix/store/core-mutable', 1, 15, 'bob', 0);
