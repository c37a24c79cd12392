# A reviewed plan, a file on the master, minion after minion, ended at the first that is not well afterwards; quorum groups keep their majority:
#   salt-run state.orchestrate apply_plan pillar='{plan: /srv/plans/plan.yml}'
# Look first: salt-run pidhygiene.apply_plan /srv/plans/plan.yml test=True
# The master needs the runner: salt-run saltutil.sync_all
apply the plan:
  salt.runner:
    - name: pidhygiene.apply_plan
    - plan: {{ pillar["plan"] }}
    - hosts: {{ pillar.get("hosts", []) }}
    - batch: {{ pillar.get("batch", 1) }}
