# What fills it? An audit of the minion that told, as soon as there is room for one. In the master's configuration:
#   reactor:
#     - salt/beacon/*/pidhygiene/reached:
#       - salt://reactor_reached.sls
{% set relief = data["relief"] or {} %}
{% if data["finding"]["subject"]["type"] == "unit" or relief.get("state") == "done" %}
what fills {{ data["id"] | json }}:
  local.pidhygiene.check:
    - tgt: {{ data["id"] | json }}
    - kwarg:
        rules: PH-PID-*,PH-SYS-004,PH-ZMB-*,PH-LIM-001
{% endif %}
