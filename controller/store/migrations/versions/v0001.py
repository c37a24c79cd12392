# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

NAME = sa.String(255).with_variant(postgresql.VARCHAR(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", NAME, nullable=False, unique=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("started_at", sa.Float(53), nullable=False),
        sa.Column("ended_at", sa.Float(53), nullable=False),
        sa.Column("made_by", sa.String(255), nullable=False),
        sa.Column("engine", sa.String(255), nullable=False),
        sa.Column("inventory_digest", sa.String(255), nullable=False),
        sa.Column("targeted", sa.Integer),
    )
    op.create_table(
        "run_groups",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", NAME, primary_key=True),
    )
    op.create_table("hosts", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", NAME, nullable=False, unique=True))
    op.create_table(
        "texts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "finding_keys",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", NAME, nullable=False),
        sa.Column("rule", NAME, nullable=False),
    )
    op.create_index("ux_finding_keys", "finding_keys", ["fingerprint", "rule"], unique=True)
    op.create_table(
        "audits",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("host_id", sa.Integer, sa.ForeignKey("hosts.id"), primary_key=True),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("at", sa.Float(53)),
        sa.Column("received", sa.Float(53), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("visibility", sa.String(10), nullable=False),
        sa.Column("engine", sa.String(255), nullable=False),
        sa.Column("policy", sa.String(255), nullable=False),
        sa.Column("machine_id", sa.String(255), nullable=False),
        sa.Column("boot_id", sa.String(255), nullable=False),
        sa.Column("tasks", sa.BigInteger),
        sa.Column("zombies", sa.BigInteger),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("next_step", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(16), nullable=False),
        sa.Column("identity_id", sa.Integer),
        sa.Column("facts_id", sa.Integer),
        sa.Column("rules_id", sa.Integer),
        sa.Column("detail", sa.LargeBinary),
    )
    op.create_index("ix_audits_host", "audits", ["host_id", "run_id"])
    op.create_index("ix_audits_content", "audits", ["content"])
    op.create_index("ix_audits_trend", "audits", ["run_id", "outcome", "status", "rules_id"])
    op.create_table(
        "findings",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("host_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key_id", sa.Integer, nullable=False),
        sa.Column("text_id", sa.Integer, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("waived", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["run_id", "host_id"], ["audits.run_id", "audits.host_id"], ondelete="CASCADE", onupdate="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_findings_history", "findings", ["host_id", "key_id", "run_id"])
    op.create_table(
        "documents",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("host_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["run_id", "host_id"], ["audits.run_id", "audits.host_id"], ondelete="CASCADE", onupdate="CASCADE"),
    )
    generation = op.create_table("generation", sa.Column("id", sa.Integer, primary_key=True), sa.Column("number", sa.Integer, nullable=False))
    op.bulk_insert(generation, [{"id": 1, "number": 1}])
