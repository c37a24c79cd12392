# A state: every minion audits itself once a night, and returns what it found to the master's job cache.
pidhygiene-nightly:
  schedule.present:
    - function: pidhygiene.check
    - hours: 24
    - splay: 1800
    - maxrunning: 1
    - return_job: true
