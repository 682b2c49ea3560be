-- An index alone; what it is over is in the database already.
select count(*) from audit;
