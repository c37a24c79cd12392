# A reviewed plan, in file_roots as plan.yml, batch by batch, ended after the first batch in which a minion is not well afterwards or does not answer:
#   salt-run state.orchestrate apply_plan pillar='{hosts: [web1, web2, web3, web4], batch: 2}'
# Without "batch" minion by minion. The batches are in the order of "hosts": of nodes that stand in for each other, put no more into one than may be down.
# Look first: salt web1 state.single pidhygiene.plan_applied salt://plan.yml test=True
{% for hosts in pillar["hosts"] | batch(pillar.get("batch", 1)) %}
repair batch {{ loop.index }}:
  salt.state:
    - tgt: {{ hosts | json }}
    - tgt_type: list
    - sls: plan_of_this_minion
    - failhard: True
{% endfor %}
