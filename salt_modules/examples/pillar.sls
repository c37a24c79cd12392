# The policy of pidhygiene: every setting has a default.
pidhygiene:
  zone:
    expected: Europe/Berlin
  headroom:
    warn: 0.7
  waivers:
    - rule: PH-ZMB-001
      subject: beremote*
      justification: vendor fix is ordered, ticket 4711
      owner: backup team
      expires: '2027-03-31'
