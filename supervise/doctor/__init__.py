"""What is wrong with an installation of `supervise` itself, and what to do about it: one module a subject.

It looks and never repairs, opens no database and starts nothing. What cannot be looked at is said, never called well.
"""
