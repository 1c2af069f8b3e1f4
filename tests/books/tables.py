"""The tables of the books: in MariaDB with the columns that FreePBX has, in PostgreSQL with those of the pgsql modules."""

_CDR = (
    ("clid", 80), ("src", 80), ("dst", 80), ("dcontext", 80), ("channel", 80), ("dstchannel", 80), ("lastapp", 80),
    ("lastdata", 80), ("disposition", 45), ("accountcode", 20), ("uniqueid", 32), ("userfield", 255), ("did", 50),
    ("recordingfile", 255), ("cnum", 80), ("cnam", 80), ("outbound_cnum", 80), ("outbound_cnam", 80), ("dst_cnam", 80),
    ("linkedid", 32), ("peeraccount", 80),
)  # fmt: skip
_CEL = (
    ("eventtype", 30), ("cid_name", 80), ("cid_num", 80), ("cid_ani", 80), ("cid_rdnis", 80), ("cid_dnid", 80),
    ("exten", 80), ("context", 80), ("channame", 80), ("appname", 80), ("appdata", 255), ("accountcode", 20),
    ("uniqueid", 32), ("linkedid", 32), ("peer", 80), ("userdeftype", 255), ("extra", 512),
)  # fmt: skip
_QUEUE_LOG = ("callid", "queuename", "agent", "event", "data1", "data2", "data3", "data4", "data5")


def _texts(columns: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{name} varchar({size}) NOT NULL DEFAULT ''" for name, size in columns)


_COUNTS = "{0} int NOT NULL DEFAULT 0"
_OF_CDR = ", ".join(_COUNTS.format(name) for name in ("duration", "billsec", "amaflags", "sequence"))
_OF_QUEUE_LOG = ", ".join(f"{name} varchar(100) NOT NULL DEFAULT ''" for name in _QUEUE_LOG)

MARIADB = (
    f"CREATE TABLE cdr (calldate datetime NOT NULL, {_texts(_CDR)}, {_OF_CDR}, KEY calldate (calldate))",
    f"CREATE TABLE cel (id int AUTO_INCREMENT PRIMARY KEY, eventtime datetime NOT NULL, {_texts(_CEL)})",
    f"CREATE TABLE queue_log (id int AUTO_INCREMENT PRIMARY KEY, time varchar(32), {_OF_QUEUE_LOG})",
)
POSTGRESQL = (
    f'CREATE TABLE cdr (start timestamp NOT NULL, answer timestamp, "end" timestamp, {_texts(_CDR)}, {_OF_CDR})',
    "CREATE INDEX ON cdr (start)",
    f"CREATE TABLE cel (id serial PRIMARY KEY, eventtime timestamp NOT NULL, {_texts(_CEL)})",
    f"CREATE TABLE queue_log (id serial PRIMARY KEY, time timestamptz, {_OF_QUEUE_LOG})",
)
