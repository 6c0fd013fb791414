"""What the portal's role may do in a database that another role owns (docs/decisions/database-roles.md)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from psycopg2 import sql

from xrayportal.audit.models import AuditEvent, AuditHead

#: Rows are read, added, changed and removed; tables, triggers and functions are the owner's.
_EVERYWHERE = """
GRANT USAGE ON SCHEMA public TO {role};
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
"""
#: Events are only ever added; a chain's end moves on and never goes; what was migrated is the owner's to say.
_EXCEPT = """
REVOKE ALL ON {events}, {heads}, {migrations} FROM {role};
GRANT SELECT, INSERT ON {events} TO {role};
GRANT SELECT, INSERT, UPDATE ON {heads} TO {role};
GRANT SELECT ON {migrations} TO {role};
"""
#: Lets it renew the planner's statistics after very many rows came at once; since PostgreSQL 17.
_MAINTAIN = "GRANT MAINTAIN ON ALL TABLES IN SCHEMA public TO {role};"
_MAINTAIN_SINCE = 170_000


def grant_to_portal(**options: Any) -> None:
    """Give ``DATABASE_PORTAL_ROLE`` its rights in all tables; nothing where no such role is set.

    Called after every migration, as the owner, so that new tables are the portal's to use as well.
    """
    role: str = settings.DATABASE_PORTAL_ROLE
    connection = connections[options.get("using", "default")]
    # A migration to a point before the audit has its tables has nothing to protect yet.
    if not role or AuditEvent._meta.db_table not in connection.introspection.table_names():
        return
    names = {
        "role": sql.Identifier(role),
        "events": sql.Identifier(AuditEvent._meta.db_table),
        "heads": sql.Identifier(AuditHead._meta.db_table),
        "migrations": sql.Identifier(MigrationRecorder.Migration._meta.db_table),
    }
    statements = [_EVERYWHERE, _EXCEPT]
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        if int(cursor.fetchone()[0]) >= _MAINTAIN_SINCE:
            statements.insert(1, _MAINTAIN)
        for statement in statements:
            cursor.execute(sql.SQL(statement).format(**names))
