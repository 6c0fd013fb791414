#!/bin/sh
# Run once by the postgres image on an empty volume: one role owns the database and migrates, the other is the
# portal's processes. Neither is a superuser.
set -eu
psql --username "$POSTGRES_USER" --set=ON_ERROR_STOP=1 --set=owner="$OWNER_PASSWORD" --set=portal="$PORTAL_PASSWORD" <<'SQL'
CREATE ROLE portal_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner';
CREATE ROLE portal LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'portal';
CREATE DATABASE portal OWNER portal_owner;
SQL
