"""Notices: what an operator should hear of, told by webhook and by e-mail."""
