"""What a person types: one file for each kind of work, composed in `hone/command.py`."""
