# A pillar: the minion tells when it, or one of these units, is about to run out of processes; and makes a little room, because at that moment no job,
# no shell and no restart can start any more. Without "relief" it only tells. docs/remedies/relief.md has the contract.
beacons:
  pidhygiene:
    - units:
        - salt-minion.service
        - backup.service
    - interval: 10
    - threshold: 80
    - relief:
        tasks_max: true
        pid_max: true
        restart: [backup.service]
