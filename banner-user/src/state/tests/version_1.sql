-- What the first version wrote: see versions.rs.
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE service_sets (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE bans (
    id INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL,
    origin TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    services INTEGER NOT NULL,
    observe INTEGER NOT NULL,
    forced INTEGER NOT NULL,
    failures INTEGER,
    filter TEXT,
    line BLOB,
    UNIQUE (prefix, origin)
) STRICT;
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL,
    origin TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    services INTEGER NOT NULL,
    observe INTEGER NOT NULL,
    forced INTEGER NOT NULL,
    failures INTEGER,
    filter TEXT,
    line BLOB,
    ended INTEGER NOT NULL,
    why TEXT NOT NULL,
    UNIQUE (prefix, since, origin)
) STRICT;
CREATE TABLE tallies (
    jail TEXT NOT NULL,
    source TEXT NOT NULL,
    told INTEGER NOT NULL,
    failures BLOB NOT NULL,
    PRIMARY KEY (jail, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE positions (
    key INTEGER PRIMARY KEY,
    path BLOB NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    state TEXT NOT NULL,
    offset INTEGER NOT NULL,
    beginning BLOB NOT NULL,
    before BLOB NOT NULL
) STRICT;
CREATE TABLE journal (id INTEGER PRIMARY KEY CHECK (id = 1), cursor TEXT NOT NULL) STRICT;
CREATE TABLE interfaces (place INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;

INSERT INTO meta VALUES ('minimum_reader', 1), ('batches', 12), ('boot_id', 'first'), ('offset', 1767224600000455877);
INSERT INTO service_sets VALUES (1, 'smtp,imap');
INSERT INTO bans VALUES
    (1, '192.0.2.1/32', 'jail:mail', 1767225600000456000, 1767226200000456000, 1, 0, 0, 12, 'cyrus', x'626164'),
    (2, '2001:db8:0:1::/64', 'hand', 1767225605000456000, NULL, 1, 1, 1, NULL, NULL, NULL);
INSERT INTO history VALUES
    (1, '192.0.2.3/32', 'jail:mail', 1767224900000456000, 1767225500000456000, 1, 0, 0, 12, 'cyrus', x'626164', 1767225500000456000, 'its time is over');
INSERT INTO tallies VALUES ('mail', '192.0.2.7/32', 1, x'0100000000000000010002000000000000000400');
INSERT INTO positions VALUES (3, CAST('/var/log/mail.log' AS BLOB), 1, 2, 'open', 4711, CAST('Nov 22' AS BLOB), x'5d0a');
INSERT INTO journal VALUES (1, 's=00000000000000000000000000000001;i=2;b=00000000000000000000000000000001;m=3;t=4;x=5');
INSERT INTO meta VALUES ('saved_at', 1767225606000456000);
INSERT INTO interfaces VALUES (1, 'eth0');
PRAGMA application_id = 0x62616e6e;
PRAGMA user_version = 1;
