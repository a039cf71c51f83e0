"""What an operator can choose: a module for each topic, all of them together in `record.py`.

A setting is a field with its kind and its line of help; `kinds.py` reads values, and the layers
they come from (command line, environment, file) are put together in one place. What a setting means
to the node is decided where it is used.
"""
