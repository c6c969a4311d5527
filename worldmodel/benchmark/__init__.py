"""How fast a world model dreams and learns, and what it takes: `worldmodel bench`."""
