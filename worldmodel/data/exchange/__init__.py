"""Episodes from elsewhere and to elsewhere: folders of recordings, LeRobot, Minari.

Each format is an EpisodeSource (source.py); importing.py makes a dataset of any of them.
"""
