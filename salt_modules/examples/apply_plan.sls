# A reviewed plan, in file_roots as plan.yml, one minion after the other, ended at the first that is not well afterwards:
#   salt-run state.orchestrate apply_plan pillar='{hosts: [web1, web2]}'
# Look first: salt web1 state.single pidhygiene.plan_applied salt://plan.yml test=True
{% for host in pillar["hosts"] %}
repair {{ host }}:
  salt.state:
    - tgt: {{ host }}
    - sls: plan_of_this_minion
    - failhard: True
{% endfor %}
