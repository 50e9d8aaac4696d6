"""What operators use: audit, doctor, watch and the round trip of a report."""
