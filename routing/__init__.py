"""Who answers a hotline, when: calendar, roster, and the rows published to the PBX. Pure."""
