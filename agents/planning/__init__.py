"""Planning in a dream: of rewards, or towards a picture."""
