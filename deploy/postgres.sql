-- The database of a hub and its three roles. Once, as a superuser, PostgreSQL 16 or newer:
--   psql -v ON_ERROR_STOP=1 -f postgres.sql
-- then give each role a password (\password plaza_owner …), or certificates, in pg_hba.conf's way.

-- Owns the tables and migrates them. Only `python -m plaza_tenancy`, or the start of control, needs it.
CREATE ROLE plaza_owner LOGIN;
-- What control works with. It owns nothing: row-level security holds it back.
CREATE ROLE plaza_app LOGIN;
-- Reads everything, for pg_dump, which refuses to write only what a policy shows.
CREATE ROLE plaza_backup LOGIN BYPASSRLS;
GRANT pg_read_all_data TO plaza_backup;

-- Names sort by their bytes, as on SQLite.
CREATE DATABASE plaza OWNER plaza_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
REVOKE ALL ON DATABASE plaza FROM PUBLIC;
GRANT CONNECT ON DATABASE plaza TO plaza_app, plaza_backup;
