# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables. Migrations make them (migrations/versions); a test compares the two.

What hosts say again and again (facts, identity, statuses of rules, the words of a finding) stands once in ``texts``, found by its digest;
audits and findings refer to it. ``texts`` and ``finding_keys`` have no foreign key to them: on PostgreSQL each row would cost two look-ups
at ingest, and an index of millions of rows for each at prune. Who deletes there holds the lock of lock.py and leaves what is referred to.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import postgresql

# Sorted as Python sorts, by code point, whatever the language of the database.
Name = String(255).with_variant(postgresql.VARCHAR(255, collation="C"), "postgresql")

metadata = MetaData()

runs = Table(
    "runs", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("kind", String(10), nullable=False),  # REPORTED: by run.json; NAMED: by the operator; DAY: made from files of that day
    Column("started_at", Float(53), nullable=False),  # seconds since the epoch
    Column("ended_at", Float(53), nullable=False),
    Column("made_by", String(255), nullable=False),
    Column("engine", String(255), nullable=False),
    Column("inventory_digest", String(255), nullable=False),
    Column("targeted", Integer),  # hosts; null where nobody said
)

run_groups = Table(
    "run_groups", metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Name, primary_key=True),  # a tag that at least one of its hosts bears
)

hosts = Table(
    "hosts", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
)

texts = Table(
    "texts", metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", LargeBinary(16), nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),  # packing.packed
)

finding_keys = Table(
    "finding_keys", metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", Name, nullable=False),
    Column("rule", Name, nullable=False),
    Index("ux_finding_keys", "fingerprint", "rule", unique=True),
)

audits = Table(
    "audits", metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("host_id", ForeignKey("hosts.id"), primary_key=True),
    Column("outcome", String(20), nullable=False),
    Column("at", Float(53)),  # by the host's clock
    Column("received", Float(53), nullable=False),  # by the controller's
    Column("status", String(10), nullable=False),  # the gravest in force
    Column("visibility", String(10), nullable=False),
    Column("engine", String(255), nullable=False),
    Column("policy", String(255), nullable=False),
    Column("machine_id", String(255), nullable=False),
    Column("boot_id", String(255), nullable=False),
    Column("tasks", BigInteger),
    Column("zombies", BigInteger),
    Column("message", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("sha256", String(64), nullable=False),  # of the bytes as received
    Column("content", LargeBinary(16), nullable=False),  # of what they say, however it was laid out
    Column("identity_id", Integer),
    Column("facts_id", Integer),
    Column("rules_id", Integer),
    Column("detail", LargeBinary),  # packed: audit, measures, summary
    Column("shape_id", Integer),  # course.Shape; null in rows of before version 0003
    Column("course", LargeBinary),  # the numbers to it
    Index("ix_audits_host", "host_id", "run_id"),
    Index("ix_audits_content", "content"),
    Index("ix_audits_trend", "run_id", "outcome", "status", "rules_id"),
)

findings = Table(
    "findings", metadata,
    Column("run_id", Integer, primary_key=True),
    Column("host_id", Integer, primary_key=True),
    Column("place", Integer, primary_key=True),  # in the document: the order is kept, and two alike are two
    Column("key_id", Integer, nullable=False),
    Column("text_id", Integer, nullable=False),
    Column("status", String(10), nullable=False),
    Column("waived", Boolean, nullable=False),
    ForeignKeyConstraint(["run_id", "host_id"], ["audits.run_id", "audits.host_id"], ondelete="CASCADE", onupdate="CASCADE"),
    Index("ix_findings_history", "host_id", "key_id", "run_id"),
    sqlite_with_rowid=False,
)

documents = Table(
    "documents", metadata,
    Column("run_id", Integer, primary_key=True),
    Column("host_id", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),  # zlib of the bytes as received
    ForeignKeyConstraint(["run_id", "host_id"], ["audits.run_id", "audits.host_id"], ondelete="CASCADE", onupdate="CASCADE"),
)

policies = Table(
    "policies", metadata,
    Column("digest", Name, primary_key=True),  # as results and audits.policy have it
    Column("kept_at", Float(53), nullable=False),
    Column("body", LargeBinary, nullable=False),  # packed: the document
)

judgements = Table(
    "judgements", metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary(16), nullable=False),  # digest of its findings
)

fleet_findings = Table(
    "fleet_findings", metadata,
    Column("run_id", ForeignKey("judgements.run_id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("fingerprint", Name, nullable=False),
    Column("status", String(10), nullable=False),
    Column("body", LargeBinary, nullable=False),  # packed: the finding
)

generation = Table(
    "generation", metadata,
    Column("id", Integer, primary_key=True),
    Column("number", Integer, nullable=False),  # grows when texts are deleted: what others remember of them is void
)
