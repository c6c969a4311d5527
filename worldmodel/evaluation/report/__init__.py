"""`worldmodel evaluate`: its two pages and their JSON."""
