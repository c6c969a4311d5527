"""What agents are put to: played, scored, watched, and set side by side on the table of tasks."""
