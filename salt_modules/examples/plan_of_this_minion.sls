# What the plan says of the minion that this runs on, and nothing else.
salt://plan.yml:
  pidhygiene.plan_applied
