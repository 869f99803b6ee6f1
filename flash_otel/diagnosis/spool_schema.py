"""The tables of the spool, and the statements that fill and read them."""

from __future__ import annotations

from typing import Final

TABLES: Final = (
    """CREATE TABLE spans (
        id INTEGER PRIMARY KEY, trace TEXT, name TEXT, start INTEGER, file TEXT, line INTEGER,
        deploying INTEGER, odd INTEGER, lines INTEGER, environment TEXT, app TEXT, label TEXT,
        build TEXT, deployment TEXT, code TEXT, active TEXT, instance TEXT
    )""",
    # Apart, so that what is searched stays small.
    "CREATE TABLE bodies (id INTEGER PRIMARY KEY, resource INTEGER, body BLOB)",
    "CREATE TABLE resources (id INTEGER PRIMARY KEY, body BLOB)",
    # What a span may be known by in several ways: an endpoint's id, an alias of a deployment.
    "CREATE TABLE names (value TEXT, span INTEGER, PRIMARY KEY (value, span)) WITHOUT ROWID",
    "CREATE TABLE environments (value TEXT PRIMARY KEY, last INTEGER) WITHOUT ROWID",
    """CREATE TABLE made (
        build TEXT, environment TEXT, PRIMARY KEY (build, environment)
    ) WITHOUT ROWID""",
    """CREATE TABLE places (
        app TEXT, label TEXT, build TEXT, environment TEXT, last INTEGER,
        PRIMARY KEY (app, label, environment, build)
    ) WITHOUT ROWID""",
    # Names of environments of which no deployment learned the id.
    """CREATE VIEW nameless AS SELECT * FROM places WHERE environment = ''
        AND NOT EXISTS (SELECT 1 FROM made WHERE made.build = places.build)
        AND NOT EXISTS (SELECT 1 FROM places AS other WHERE other.app = places.app
            AND other.label = places.label AND other.environment != '')
        AND (app != '' OR NOT EXISTS (SELECT 1 FROM places AS other
            WHERE other.app != '' AND other.label = places.label))""",
    # Where calls go by name, and the names among these that nobody deployed to.
    "CREATE TABLE called (app TEXT, label TEXT, PRIMARY KEY (app, label)) WITHOUT ROWID",
    """CREATE VIEW astray AS SELECT * FROM called WHERE NOT EXISTS (SELECT 1 FROM places
        WHERE places.app = called.app AND places.label = called.label)""",
    # What reads in files ask for: environments, and the builds that they were answered.
    "CREATE TABLE asked (kind TEXT, value TEXT, PRIMARY KEY (kind, value)) WITHOUT ROWID",
)
INDEXES: Final = (
    "CREATE INDEX by_trace ON spans (trace)",
    *(
        f"CREATE INDEX by_{one} ON spans ({one}, deploying, start) WHERE {one} IS NOT NULL"
        for one in ("environment", "build", "deployment", "code", "active", "instance")
    ),
    "CREATE INDEX by_label ON spans (label, app, deploying, start) WHERE label IS NOT NULL",
    "CREATE INDEX by_making ON spans (start, file, line) WHERE deploying",
    "CREATE INDEX by_place ON spans (start) WHERE deploying AND lines AND build IS NULL",
    "CREATE INDEX by_odd ON spans (environment, start) WHERE odd",
    "CREATE INDEX by_stray ON spans (name) WHERE NOT deploying AND code IS NULL",
)
INSERT: Final = {
    "resources": "INSERT OR IGNORE INTO resources VALUES (?, ?)",
    "spans": "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "bodies": "INSERT INTO bodies VALUES (?, ?, ?)",
    "names": "INSERT OR IGNORE INTO names VALUES (?, ?)",
    "environments": "INSERT INTO environments VALUES (?, ?) "
    "ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
    "made": "INSERT OR IGNORE INTO made VALUES (?, ?)",
    "places": "INSERT OR IGNORE INTO places VALUES (?, ?, ?, ?, ?)",
    "asked": "INSERT OR IGNORE INTO asked VALUES (?, ?)",
    "called": "INSERT OR IGNORE INTO called VALUES (?, ?)",
}
SELECT: Final = (
    "SELECT bodies.body, resources.body FROM spans JOIN bodies USING (id) "
    "JOIN resources ON resources.id = resource "
)
