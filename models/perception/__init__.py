"""Frozen and small learnt encoders that curation, training and evaluation share."""
