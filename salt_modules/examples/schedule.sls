# A state: every minion audits itself once a night, and returns what it found to the master's job cache,
# and, where the master has the returner of the same name, into its report folder.
pidhygiene-nightly:
  schedule.present:
    - function: pidhygiene.check
    - job_kwargs:
        full: true
    - hours: 24
    - splay: 1800
    - maxrunning: 1
    - return_job: true
