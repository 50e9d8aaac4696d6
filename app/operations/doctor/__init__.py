"""Looks at each part of a real deployment, and says what is wrong and how it is fixed.

A check is a function of a `Deployment` that returns a `Finding`; `checks.py` has them in order.
Looking changes nothing, but for one value in Firebase that is written, read and deleted.
"""
