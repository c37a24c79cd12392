"""Healthy hosts full of real software, recorded: what an audit says of them is a false alarm until somebody shows that it is true.

One file for each host: what is installed, what is started, and how one sees that it works. tests/lab/record_negative.py makes the recordings,
tests/unit/test_negative_hosts.py judges them.
"""

from __future__ import annotations

from . import build, containers, crons, daemons, data, desktop, mail, postgres, salt, supervisor, web
from .recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        postgres.RECIPE, web.RECIPE, containers.RECIPE, supervisor.RECIPE, salt.RECIPE, crons.RECIPE, build.RECIPE, desktop.RECIPE, mail.RECIPE, data.RECIPE, daemons.RECIPE,
    )
}
