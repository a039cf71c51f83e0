"""Who is who: tokens and the keys they are verified by, names, accounts and their passwords.

`trust.py` decides whose tokens a node believes, `tokens.py` issues them and verifies them by the
keyring (`keyring.py`); `accounts.py` puts the accounts together, for people who sign in here.
"""
