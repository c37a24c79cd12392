# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies by their digest, and what was found over the fleet in each run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

NAME = sa.String(255).with_variant(postgresql.VARCHAR(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "policies",
        sa.Column("digest", NAME, primary_key=True),
        sa.Column("kept_at", sa.Float(53), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "judgements",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("content", sa.LargeBinary(16), nullable=False),
    )
    op.create_table(
        "fleet_findings",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("judgements.run_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fingerprint", NAME, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
