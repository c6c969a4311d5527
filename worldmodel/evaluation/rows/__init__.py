"""What dreams, simulators and simple rules make of the same moments, and what is measured of each."""
